import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { textOf } from '../support/fault-client.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { follow } from '../support/plain-browser.ts';
import { until } from '../support/until.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';

/** An address that is not loopback by name, and leads to this very machine (Linux, macOS). */
const elsewhere = '0.0.0.0';

describe("plain http in a network of one's own, such as that of compose", () => {
  let world: Protected;
  afterEach(() => world.stop());

  test('each origin has to be allowed; then login, refresh, bridge and logout need no flag', async () => {
    world = await startProtected(1, 'mcp', elsewhere);
    const { url, home, issuer } = world;
    const [server, auth] = [new URL(url).origin, new URL(issuer.issuer).origin];
    const unasked = await command(['login', url], { env: home.env });
    expect(unasked).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`--allow-http ${server} on a network you trust`),
    });
    const half = await command(['login', url, '--allow-http', server], { env: home.env });
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining(`--allow-http ${auth} on`) });
    expect(issuer.seen).toEqual([]);

    await world.signIn(['--allow-http', server, '--allow-http', auth]);
    const bridge = world.bridge();
    await bridge.ready();
    await until('a refresh', 20_000, async () => {
      expect(textOf(await bridge.call('read'))).toMatch(/^ok/);
      return issuer.refreshes() > 0;
    });
    // What the environment says now names the server alone: the token endpoint was allowed at the sign-in.
    const narrow = world.bridge([], { MCP_WHOAMI_ALLOW_HTTP: server });
    await narrow.ready();
    const before = issuer.refreshes();
    await until('another refresh', 20_000, async () => {
      expect(textOf(await narrow.call('read'))).toMatch(/^ok/);
      return issuer.refreshes() > before;
    });
    const left = await command(['logout', url], { env: home.env });
    expect(left.stdout).toContain('the tokens are revoked');
  });
});

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const probe = createServer().once('error', () => resolve(false));
  probe.listen(0, '::1', () => probe.close(() => resolve(true)));
});

describe.skipIf(!hasIpv6)('nothing but ::1', () => {
  let issuer: Issuer;
  let home: Home;
  let port: number;
  let stop: () => Promise<unknown>;
  beforeAll(async () => {
    issuer = await startIssuer({}, '/oidc', { host: '::1' });
    home = makeHome();
    port = await freePort('::1');
    const args = ['--host', '::1', '--port', String(port), '--issuer', issuer.issuer, '--verify', 'userinfo'];
    const serverHome = makeHome();
    const server = start(['serve', ...args], { env: serverHome.env });
    await server.printed(/access tokens are verified by userinfo/);
    stop = async () => {
      await server.stop('SIGINT');
      await issuer.close();
      home.remove();
      serverHome.remove();
    };
  });
  afterAll(() => stop());

  async function signIn(url: string, args: readonly string[], env = home.env) {
    const login = start(['login', url, '--no-browser', ...args], { env });
    const [authorization] = await login.printed(/^http:\/\/\S+[?&]code_challenge=\S+$/m);
    await follow(authorization);
    expect(await login.finished).toMatchObject({ code: 0 });
    return new URL(new URL(authorization).searchParams.get('redirect_uri') ?? '');
  }

  test('login --redirect-host [::1], whoami, bridge, logout', async () => {
    const url = `http://[::1]:${port}/sse`;
    const redirect = await signIn(url, ['--redirect-host', '[::1]']);
    expect(redirect.hostname).toBe('[::1]');
    expect(await command(['whoami', url], { env: home.env })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/sub +alice/),
    });
    const { client, close } = await connectOverStdio(['bridge', url], home.env);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
    await close();
    expect((await command(['logout', url], { env: home.env })).stdout).toContain('the tokens are revoked');
  });

  test('localhost that resolves to ::1 alone', async () => {
    const names = join(home.path, 'names.cjs');
    writeFileSync(
      names,
      `const dns = require('node:dns');
const { lookup } = dns;
dns.lookup = (host, options, done) => lookup(host === 'localhost' ? '::1' : host, options, done);
`,
    );
    const env = { ...home.env, NODE_OPTIONS: `--import=${pathToFileURL(names).href}` };
    const url = `http://localhost:${port}/mcp`;
    const redirect = await signIn(url, ['--redirect-host', 'localhost'], env);
    expect(redirect.hostname).toBe('localhost');
    expect(await command(['whoami', url], { env })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/sub +alice/),
    });
  });
});
