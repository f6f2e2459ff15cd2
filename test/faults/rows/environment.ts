import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { startConnectProxy } from '../../support/connect-proxy.ts';
import { startFaultClient, textOf } from '../../support/fault-client.ts';
import { startProtected } from '../../support/fault-protected.ts';
import { row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { keyringMissing, withKeyring } from '../../support/keyring.ts';
import { startModel } from '../../support/model-server.ts';
import { serve } from '../../support/serve.ts';
import { signIn } from '../../support/sign-in.ts';
import { startTlsFront } from '../../support/tls-front.ts';
import { until } from '../../support/until.ts';

/** From now on this process can write to no file (Linux): as on a full or read-only disk. */
const stopWriting = (pid = 0) => void execFileSync('/usr/bin/prlimit', ['--pid', String(pid), '--fsize=0:0']);
const cannotStopWriting = !existsSync('/usr/bin/prlimit');

/** The machine: disk, names, certificates, keychain. */
export function environmentRows(): void {
  row(
    'keychain write fails after a refresh',
    'a store that takes nothing any more',
    async (saw) => {
      const world = await startProtected();
      try {
        await world.signIn();
        const it = world.bridge();
        await it.ready();
        stopWriting(it.running.child.pid);
        world.accepted.clear();
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
        expect(world.issuer.refreshes()).toBe(1);
        await until('a warning', 5000, () => /could not be saved/.test(it.running.stderr()));
        saw('calls answered, one warning on stderr, one refresh');
      } finally {
        await world.stop();
      }
    },
    { skip: cannotStopWriting },
  );

  row(
    'disk full, read-only HOME',
    'no file can be written',
    (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server.mcp);
        stopWriting(it.running.child.pid);
        await it.ready();
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
        await until('a warning', 5000, () => /warn/.test(it.running.stderr()));
        const warnings = it.running.stderr().match(/warn: the catalogue cannot be saved/g) ?? [];
        expect(warnings).toHaveLength(1);
        saw('calls answered, one warning on stderr');
      }),
    { skip: cannotStopWriting },
  );

  row('DNS failure, no network', 'a name that cannot be resolved', (saw) =>
    inWorld(async ({ client }) => {
      const it = client('https://mcp.server.invalid/mcp');
      await it.greet();
      await until('a try', 10_000, () => /trying again/.test(it.running.stderr()));
      const answer = await it.call('count');
      expect(answer.json.result?.isError).toBe(true);
      expect(textOf(answer)).toContain('offline?');
      expect(answer.ms).toBeLessThan(8000);
      saw(`"${textOf(answer)}"`, answer.ms);
    }),
  );

  row('TLS', 'private CA, expired, wrong name; NODE_EXTRA_CA_CERTS and --ca', async (saw) => {
    const authority = createAuthority();
    const nothing = await startModel();
    nothing.gate = (_, response) => {
      response.writeHead(404).end();
      return true;
    };
    const front = (days: number) => startTlsFront(authority.issue(['localhost'], days), () => nothing.port);
    const [good, expired] = [await front(2), await front(-1)];
    const known = { env: { NODE_EXTRA_CA_CERTS: authority.file } };
    for (const [name, { port }, options, expected] of [
      ['localhost', good, {}, /not trusted.*--ca FILE.*NODE_EXTRA_CA_CERTS/],
      ['127.0.0.1', good, known, /not trusted.*altnames.*host name that the certificate/i],
      ['localhost', expired, known, /not trusted \(certificate has expired\).*this machine's clock/],
      ['localhost', good, known, /neither Streamable HTTP nor HTTP\+SSE/],
      ['localhost', good, { args: ['--ca', authority.file] }, /neither Streamable HTTP nor HTTP\+SSE/],
    ] as const) {
      const it = startFaultClient(`https://${name}:${port}/mcp`, options);
      await it.greet();
      const answer = await it.call('count');
      const text = textOf(answer);
      await it.discard();
      expect(text).toMatch(expected);
      expect(answer.ms).toBeLessThan(5000);
      saw(`"${text}"`, answer.ms);
    }
    for (const each of [good, expired, nothing]) await each.stop();
    authority.remove();
  });

  row('proxy variables', 'HTTPS_PROXY, NO_PROXY, 407', async (saw) => {
    const proxy = await startConnectProxy();
    proxy.wanted = ['someone:else'];
    const variable = { HTTPS_PROXY: proxy.url.replace('://', '://someone:hidden@') };
    const call = async (url: string, env: Record<string, string>) => {
      const it = startFaultClient(url, { env: { ...variable, ...env } });
      await it.greet();
      const answer = await it.call('count');
      expect(it.running.stderr() + it.running.stdout()).not.toContain('hidden');
      await it.discard();
      saw(`"${textOf(answer)}"`, answer.ms);
      return textOf(answer);
    };
    expect(await call('https://mcp.server.invalid/mcp', {})).toContain(`the proxy 127.0.0.1:${proxy.port}`);
    const credentials = Buffer.from('someone:hidden').toString('base64');
    expect(proxy.asked[0]).toEqual({ target: 'mcp.server.invalid:443', credentials: `Basic ${credentials}` });
    const before = proxy.asked.length;
    expect(await call('https://mcp.server.invalid/mcp', { NO_PROXY: '.server.invalid' })).toContain(
      'offline?',
    );
    expect(await call('https://localhost:9/mcp', {})).toContain('nothing listens');
    expect(proxy.asked).toHaveLength(before);
    await proxy.stop();
  });

  row('proxy variables', 'a proxy that is there again, and leads on', (saw) =>
    inWorld(async ({ model }) => {
      const authority = createAuthority();
      const server = await model();
      const front = await startTlsFront(authority.issue(['mcp.server.invalid']), () => server.port);
      const proxy = await startConnectProxy();
      proxy.refuse = { status: 503 };
      const it = startFaultClient('https://mcp.server.invalid/mcp', {
        env: { HTTPS_PROXY: proxy.url },
        args: ['--ca', authority.file],
      });
      await it.greet();
      const call = it.call('count');
      await until('some tries', 10_000, () => proxy.asked.length > 1);
      proxy.routes.set('mcp.server.invalid:443', front.port);
      proxy.refuse = undefined;
      const answer = await call;
      expect(textOf(answer)).toMatch(/^ok/);
      saw('the call waited and was answered', answer.ms);
      await it.discard();
      await proxy.stop();
      await front.stop();
      authority.remove();
    }),
  );

  row(
    'keychain locked, slow, absent',
    'Secret Service locked, then frozen, then gone',
    async (saw) => {
      const keyring = await withKeyring();
      const serving = await serve();
      try {
        const env = { ...keyring.env, BROWSER: 'none', MCP_WHOAMI_TOKEN: '', MCP_WHOAMI_STORE: '' };
        const login = await signIn(serving.mcp, { ...keyring.env, BROWSER: 'none' });
        expect(login.code).toBe(0);
        const call = async (what: string) => {
          const it = startFaultClient(serving.mcp, { env });
          await it.greet();
          const answer = await it.request('tools/call', { name: 'whoami', arguments: {} });
          await it.discard();
          expect(answer.json.result?.isError).toBe(true);
          expect(textOf(answer)).toMatch(/keychain|Secret Service/i);
          expect(answer.ms).toBeLessThan(13_000);
          saw(`${what}: "${textOf(answer)}"`, answer.ms);
        };
        await keyring.lock();
        await call('locked');
        await keyring.unlock();
        keyring.freeze();
        await call('slow');
        keyring.thaw();
        await keyring.stopService();
        await call('gone');
      } finally {
        await serving.stop();
        await keyring.stop();
      }
    },
    { skip: keyringMissing !== undefined, slow: true },
  );
}
