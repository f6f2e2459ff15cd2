import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { command } from '../support/command.ts';
import { type Company, startCompany } from '../support/company.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, type StdioClient, whoami } from '../support/mcp.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';

const clients: StdioClient[] = [];
const connect = async (args: string[], env: Record<string, string>) => {
  const client = await connectOverStdio(args, env);
  clients.push(client);
  return client.client;
};
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

/** The credentials that came with the requests to a target. */
const credentialsFor = ({ proxy }: Company, target: string) =>
  new Set(
    proxy.asked
      .filter((one) => one.target === target)
      .map(({ credentials = '' }) => Buffer.from(credentials.slice(6), 'base64').toString()),
  );

describe('a proxy that wants credentials, in front of names that it alone knows', () => {
  let company: Company;
  beforeAll(async () => {
    company = await startCompany({ people: 'alice:s3cret', lifetime: 1 });
  });
  afterAll(() => company.stop());

  test('login, whoami, a refresh, the bridge over both transports, logout; what login was told holds', async () => {
    const { home, authority, issuer, proxy } = company;
    expect(credentialsFor(company, 'auth.corp.test:443')).toEqual(new Set(['server:its-own-password']));
    const said: string[] = [];
    for (const url of [company.mcp, company.sse]) {
      const args = ['--ca', authority.file, '--log-level', 'debug'];
      const login = await company.signIn(url, home.env, args);
      expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('Alice Example') });
      said.push(login.stdout + login.stderr);
      const before = issuer.refreshes();
      await until('a refresh', 20_000, async () => {
        const asked = await command(['whoami', url, '--log-level', 'debug'], { env: home.env });
        said.push(asked.stdout + asked.stderr);
        expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/sub +alice/) });
        return issuer.refreshes() > before;
      });
      const client = await connect(['bridge', url], home.env);
      expect(await whoami(client)).toMatchObject({ sub: 'alice', iss: issuer.issuer });
    }
    const left = await command(['logout', '--all', '--log-level', 'debug'], { env: home.env });
    expect(left.stdout.match(/the tokens are revoked/g)).toHaveLength(2);
    said.push(left.stdout + left.stderr);

    expect(credentialsFor(company, 'mcp.corp.test:443')).toEqual(new Set(['alice:s3cret']));
    expect(credentialsFor(company, 'auth.corp.test:443')).toContain('alice:s3cret');
    expect(proxy.asked.filter(({ target }) => !/^(mcp|auth)\.corp\.test:443$/.test(target))).toEqual([]);
    expect(said.join('') + company.serverLog()).not.toMatch(/s3cret|its-own-password/);
    expect(home.filesWith('s3cret')).toEqual([]);
  });

  test('without credentials, or with others: 407 is told by login, whoami and the bridge', async () => {
    const home = makeHome({ HTTPS_PROXY: company.proxy.url });
    const others = { ...home.env, HTTPS_PROXY: company.proxy.url.replace('://', '://alice:wr0ng@') };
    const where = `the proxy 127.0.0.1:${company.proxy.port}`;
    for (const [env, wants] of [
      [home.env, 'wants credentials (407)'],
      [others, 'wants other credentials (407)'],
    ] as const) {
      const login = await company.signIn(company.mcp, env);
      expect(login).toMatchObject({ code: 4, stderr: expect.stringContaining(`${where} ${wants}`) });
      expect(login.stderr).toContain('→ put user and password into HTTPS_PROXY');
      const asked = await command(['whoami', company.mcp], { env: { ...env, MCP_WHOAMI_TOKEN: 'by-hand' } });
      expect(asked).toMatchObject({ code: 4, stderr: expect.stringContaining(`${where} ${wants}`) });
      const client = await connect(['bridge', company.mcp], { ...env, MCP_WHOAMI_TOKEN: 'by-hand' });
      await expect(whoami(client)).rejects.toThrow(`${where} ${wants}`);
      expect(login.stderr + asked.stderr).not.toContain('wr0ng');
    }
    home.remove();
  });
});

describe('a proxy without credentials', () => {
  let company: Company;
  let home: Home;
  beforeAll(async () => {
    company = await startCompany({ secureProxy: true });
  });
  afterAll(() => company.stop());
  beforeEach(() => {
    home = makeHome({ HTTPS_PROXY: company.proxy.url });
  });
  afterEach(() => home.remove());

  test('that is itself spoken to over TLS: login, whoami, bridge', async () => {
    const login = await company.signIn(company.mcp, home.env, ['--ca', company.authority.file]);
    expect(login).toMatchObject({ code: 0, stdout: expect.stringContaining('Alice Example') });
    expect((await command(['whoami', company.mcp], { env: home.env })).stdout).toMatch(/sub +alice/);
    const client = await connect(['bridge', company.mcp], home.env);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
  });

  test('whose certificate is not trusted, that does not know the name, that is not there: each is told', async () => {
    const { port } = company.proxy;
    const untrusted = await company.signIn(company.mcp, home.env);
    expect(untrusted).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(
        new RegExp(`the proxy 127\\.0\\.0\\.1:${port} cannot be reached: .*not trusted`),
      ),
    });
    expect(untrusted.stderr).toContain('--ca FILE');
    const unknown = await company.signIn('https://nowhere.corp.test/mcp', home.env, [
      '--ca',
      company.authority.file,
    ]);
    expect(unknown).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('does not lead to nowhere.corp.test:443 (status 502)'),
    });
    const gone = { ...home.env, HTTPS_PROXY: 'http://127.0.0.1:9' };
    const down = await company.signIn(company.mcp, gone);
    expect(down).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('the proxy 127.0.0.1:9 cannot be reached: nothing listens'),
    });
    const socks = await company.signIn(company.mcp, {
      ...home.env,
      HTTPS_PROXY: '',
      ALL_PROXY: 'socks5://a:1',
    });
    expect(socks).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('ALL_PROXY names a socks5 proxy'),
    });
  });

  test('loopback, and what NO_PROXY names, never go through it', async () => {
    const before = company.proxy.asked.length;
    const local = await company.signIn('https://localhost:9/mcp', home.env);
    expect(local).toMatchObject({ code: 4, stderr: expect.stringContaining('nothing listens') });
    const named = await company.signIn(company.mcp, { ...home.env, NO_PROXY: '.corp.test' });
    expect(named).toMatchObject({ code: 4, stderr: expect.stringContaining('cannot be resolved') });
    expect(company.proxy.asked).toHaveLength(before);
  });
});

describe('an authorization server at a private address', () => {
  let company: Company;
  beforeAll(async () => {
    company = await startCompany({ issuerHost: '10.20.30.40', lifetime: 1 });
  });
  afterAll(() => company.stop());

  test(
    threat(
      'C8',
      'through a proxy it is refused; with --allow-private-network login, refresh and logout go on',
    ),
    async () => {
      const { home, authority, issuer, proxy } = company;
      const before = proxy.asked.filter(({ target }) => target === '10.20.30.40:443').length;
      const refused = await company.signIn(company.mcp, home.env, ['--ca', authority.file]);
      expect(refused).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('mcp.corp.test sends us to 10.20.30.40, a private address'),
      });
      expect(refused.stderr).toContain('--allow-private-network');
      expect(proxy.asked.filter(({ target }) => target === '10.20.30.40:443')).toHaveLength(before);

      const args = ['--ca', authority.file, '--allow-private-network'];
      expect(await company.signIn(company.mcp, home.env, args)).toMatchObject({ code: 0 });
      await until('a refresh', 20_000, async () => {
        const asked = await command(['whoami', company.mcp], { env: home.env });
        expect(asked).toMatchObject({ code: 0, stdout: expect.stringMatching(/sub +alice/) });
        return issuer.refreshes() > 0;
      });
      const left = await command(['logout', company.mcp], { env: home.env });
      expect(left.stdout).toContain('the tokens are revoked');
    },
  );
});
