import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { command, type Running, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { follow } from '../support/plain-browser.ts';
import { startTlsFront, type TlsFront } from '../support/tls-front.ts';
import { until } from '../support/until.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';

let authority: Authority;
let issuer: Issuer;
let server: Running;
let home: Home;
let serverHome: Home;
let fronts: TlsFront[];
let mcp: string;

/** Server and authorization server at https://localhost:PORT, their certificates by an authority of one's own. */
beforeAll(async () => {
  authority = createAuthority();
  serverHome = makeHome();
  const certificate = authority.issue(['localhost']);
  const port = await freePort();
  fronts = [
    await startTlsFront(certificate, () => issuer.port),
    await startTlsFront(certificate, () => port),
  ];
  const [auth, own] = fronts.map((front) => `https://localhost:${front.port}`);
  issuer = await startIssuer({ lifetime: 1 }, '/oidc', { publicOrigin: () => auth ?? '' });
  const args = ['--port', String(port), '--public-url', own ?? '', '--issuer', issuer.issuer];
  server = start(['serve', ...args, '--verify', 'userinfo'], {
    env: { ...serverHome.env, NODE_EXTRA_CA_CERTS: authority.file },
  });
  await server.printed(/access tokens are verified by userinfo/);
  mcp = `${own}/mcp`;
});
afterAll(async () => {
  await server.stop('SIGINT');
  await Promise.all(fronts.map((front) => front.stop()));
  await issuer.close();
  authority.remove();
  serverHome.remove();
});
beforeEach(() => {
  home = makeHome();
});
afterEach(() => home.remove());

async function signIn(args: string[], env = home.env) {
  const login = start(['login', mcp, '--no-browser', ...args], { env });
  const printed = await login.printed(/^https:\/\/\S+[?&]code_challenge=\S+$/m).catch(() => undefined);
  if (printed) await follow(printed[0].replace(new URL(issuer.issuer).origin, issuer.origin));
  return login.finished;
}
const ask = (args: string[] = [], env = home.env) => command(['whoami', mcp, ...args], { env });

describe('a private certificate authority', () => {
  test('--ca is told once, to login: whoami, refresh, bridge and logout trust it too', async () => {
    expect(await signIn(['--ca', authority.file])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Alice Example'),
    });
    const before = issuer.refreshes();
    await until('a refresh', 20_000, async () => {
      expect(await ask()).toMatchObject({ code: 0, stdout: expect.stringMatching(/sub +alice/) });
      return issuer.refreshes() > before;
    });
    const { client, close } = await connectOverStdio(['bridge', mcp], home.env);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
    await close();
    const left = await command(['logout', mcp], { env: home.env });
    expect(left.stdout).toContain('the tokens are revoked');
  });

  test('NODE_EXTRA_CA_CERTS does as well, while it is set', async () => {
    const env = { ...home.env, NODE_EXTRA_CA_CERTS: authority.file };
    expect(await signIn([], env)).toMatchObject({ code: 0 });
    expect(await ask([], env)).toMatchObject({ code: 0 });
    expect(await ask()).toMatchObject({ code: 4, stderr: expect.stringContaining('is not trusted') });
  });

  test('without either, login and bridge tell why, and the flag', async () => {
    const refused = {
      code: 4,
      stderr: expect.stringMatching(/is not trusted \(.*certificate\)\n {2}→ .*--ca FILE/),
    };
    expect(await signIn([])).toMatchObject(refused);
    const { client, close } = await connectOverStdio(['bridge', mcp], {
      ...home.env,
      MCP_WHOAMI_TOKEN: 'by-hand',
    });
    await expect(whoami(client)).rejects.toThrow(/is not trusted .*--ca FILE .*NODE_EXTRA_CA_CERTS/);
    await close();
  });

  test('serve tells it as well', async () => {
    const lost = start(['serve', '--port', '0', '--issuer', issuer.issuer], { env: home.env });
    await lost.printed(/is not trusted .*--ca FILE/);
    await lost.stop('SIGINT');
  });

  test('a file that is none is exit code 2; one that is gone stops whoami, but not logout', async () => {
    const nothing = await signIn(['--ca', '/dev/null']);
    expect(nothing).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--ca: /dev/null holds no certificate'),
    });
    const copy = join(home.path, 'ca.pem');
    writeFileSync(copy, authority.pem);
    expect(await signIn(['--ca', copy])).toMatchObject({ code: 0 });
    writeFileSync(copy, '');
    expect(await ask()).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/config\.json: "ca": \S+ca\.pem holds no certificate/),
    });
    const left = await command(['logout', mcp], { env: home.env });
    expect(left).toMatchObject({ code: 0, stdout: expect.stringContaining('Signed out') });
    expect(left.stderr).toContain('may still honour the tokens');
  });
});

describe('a certificate that is not in order', () => {
  test.each([
    [
      'for another name',
      ['elsewhere.test'],
      2,
      /is not trusted \(.*altnames.*\)\n {2}→ use the host name that/,
    ],
    [
      'that has run out',
      ['localhost'],
      -1,
      /\(certificate has expired\)\n {2}→ .*renew it, unless this machine's clock .*UTC/,
    ],
  ])('%s is told by login and whoami, with what to do', async (_, names, days, expected) => {
    const front = await startTlsFront(authority.issue(names, days), () => issuer.port);
    const url = `https://localhost:${front.port}/mcp`;
    const env = { ...home.env, MCP_WHOAMI_TOKEN: 'by-hand' };
    for (const name of ['login', 'whoami']) {
      const finished = await command([name, url, '--ca', authority.file], { env });
      expect(finished).toMatchObject({ code: 4, stderr: expect.stringMatching(expected) });
    }
    await front.stop();
  });

  test('a server that speaks plain http there is told from one that is not trusted', async () => {
    const finished = await command(['login', `https://localhost:${issuer.port}/mcp`], { env: home.env });
    expect(finished).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/no TLS connection to localhost:\d+/),
    });
  });
});
