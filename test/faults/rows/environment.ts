import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { startFaultClient, textOf } from '../../support/fault-client.ts';
import { startProtected } from '../../support/fault-protected.ts';
import { row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { makeHome } from '../../support/home.ts';
import { keyringMissing, withKeyring } from '../../support/keyring.ts';
import { serve } from '../../support/serve.ts';
import { signIn } from '../../support/sign-in.ts';
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

  row('TLS', 'a certificate that nobody vouches for, and NODE_EXTRA_CA_CERTS', async (saw) => {
    const home = makeHome();
    const [key, cert] = [join(home.path, 'key.pem'), join(home.path, 'cert.pem')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const kind = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', [...kind, '-days', '2', ...subject, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => {
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    for (const [host, env, expected] of [
      ['localhost', {}, /not trusted.*NODE_EXTRA_CA_CERTS/],
      ['127.0.0.1', { NODE_EXTRA_CA_CERTS: cert }, /not trusted.*altnames.*host name that the certificate/i],
      ['localhost', { NODE_EXTRA_CA_CERTS: cert }, /neither Streamable HTTP nor HTTP\+SSE/],
    ] as const) {
      const it = startFaultClient(`https://${host}:${port}/mcp`, { env });
      await it.greet();
      const answer = await it.call('count');
      const text = textOf(answer);
      await it.discard();
      expect(text).toMatch(expected);
      expect(answer.ms).toBeLessThan(5000);
      saw(`"${text}"`, answer.ms);
    }
    server.close();
    home.remove();
  });

  row('proxy variables', 'HTTPS_PROXY, NO_PROXY, 407', async (saw) => {
    const asked: string[] = [];
    const proxy = createHttpServer();
    proxy.on('connect', (request, socket) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const variable = { HTTPS_PROXY: `http://someone:hidden@127.0.0.1:${port}` };
    const call = async (url: string, env: Record<string, string>) => {
      const it = startFaultClient(url, { env: { ...variable, ...env } });
      await it.greet();
      const answer = await it.call('count');
      expect(it.running.stderr() + it.running.stdout()).not.toContain('hidden');
      await it.discard();
      saw(`"${textOf(answer)}"`, answer.ms);
      return textOf(answer);
    };
    expect(await call('https://mcp.server.invalid/mcp', {})).toContain(`the proxy 127.0.0.1:${port}`);
    const credentials = Buffer.from('someone:hidden').toString('base64');
    expect(asked[0]).toBe(`mcp.server.invalid:443 Basic ${credentials}`);
    const before = asked.length;
    expect(await call('https://mcp.server.invalid/mcp', { NO_PROXY: '.server.invalid' })).toContain(
      'offline?',
    );
    expect(await call('https://localhost:9/mcp', {})).toContain('nothing listens');
    expect(asked).toHaveLength(before);
    proxy.close();
  });

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
