import { afterEach, describe, expect, test, vi } from 'vitest';
import { createGate, type GateOptions, identityOf } from '../../../../src/server/library/index.ts';
import { openTestProvider } from '../support/provider.ts';
import { openProtected, type Protected, type ProtectedOptions } from './support/protected.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(options: ProtectedOptions): Promise<Protected> {
  const it = await openProtected(options);
  ends.push(() => it.close());
  return it;
}

const good: GateOptions = { resource: 'https://mcp.example.com/mcp', issuer: 'https://auth.example.com' };
const metadataIn = (challenge = '') => /resource_metadata="([^"]*)"/.exec(challenge)?.[1];

describe('options that cannot be meant', () => {
  test.each<[string, object, string, RegExp]>([
    ['a name that is mistyped', { requiredScopes: 'a' }, 'usage', /no option "requiredScopes"/],
    ['one beside an issuer', { issuer: [{ issuer: 'https://a.example', allows: {} }] }, 'usage', /"allows"/],
    ['no issuer', { issuer: undefined }, 'usage', /names no authorization server/],
    ['an empty list of them', { issuer: [] }, 'usage', /names no authorization server/],
    ['an issuer twice', { issuer: ['https://a.example', 'https://a.example'] }, 'usage', /named twice/],
    ['an issuer over plain http', { issuer: 'http://auth.example.com' }, 'insecure_url', /plain http/],
    ['no resource', { resource: [] }, 'usage', /names no URL/],
    ['a path for a resource', { resource: '/mcp' }, 'usage', /a URL that clients use/],
    ['a query in it', { resource: 'https://mcp.example.com/mcp?a=b' }, 'usage', /neither query nor/],
    ['two origins', { resource: ['https://a.example/mcp', 'https://b.example/mcp'] }, 'usage', /one origin/],
    ['an unknown way', { verify: 'guess' }, 'usage', /"verify" is one of/],
    ['an audience by userinfo', { verify: 'userinfo', audience: 'x' }, 'usage', /checks no audience/],
    ['introspection without a client', { verify: 'introspection' }, 'usage', /needs a client/],
    ['a proxy by its name', { trustProxy: ['proxy.example'] }, 'usage', /neither an address nor a subnet/],
    ['half a client', { introspection: { clientId: 'x' } }, 'usage', /clientSecret/],
    [
      'a client that is of two issuers',
      {
        issuer: ['https://a.example', 'https://b.example'],
        introspection: { clientId: 'x', clientSecret: 'hunter2' },
      },
      'usage',
      /"introspection" is of one issuer/,
    ],
  ])('%s', (_what, options, code, message) => {
    let thrown: unknown;
    try {
      createGate({ ...good, ...options }).close();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(JSON.stringify(thrown) + String(thrown)).not.toContain('hunter2');
  });

  test('a slip of the finger is told apart from an invention', () => {
    expect(() => createGate({ ...good, requiredScopes: 'a' } as GateOptions)).toThrow(
      expect.objectContaining({ hint: 'did you mean "requiredScope"?' }),
    );
  });
});

describe('what they do', () => {
  test('several resources: each path has the challenge of its own, others that of the first', async () => {
    const it = await open({
      gate: (origin) => ({ resource: [`${origin}/a/mcp`, `${origin}/a`, `${origin}/sse`] }),
    });
    for (const [path, resource] of [
      ['/a/mcp', '/a/mcp'],
      ['/a/mcp/x', '/a/mcp'],
      ['/a/mcpx', '/a'],
      ['/sse', '/sse'],
      ['/messages', '/a/mcp'],
    ]) {
      const { headers } = await it.send('GET', path ?? '');
      expect(metadataIn(headers['www-authenticate']), path).toBe(
        `http://127.0.0.1:${it.port}/.well-known/oauth-protected-resource${resource}`,
      );
      const document = await it.send('GET', `/.well-known/oauth-protected-resource${resource}`);
      expect(document.json().resource).toBe(`http://127.0.0.1:${it.port}${resource}`);
    }
    for (const [aud, status] of [
      ['/sse', 200],
      ['/other', 401],
      ['', 401],
    ] as const) {
      const authorization = `Bearer ${await it.token('alice', { aud: it.origin + aud })}`;
      expect((await it.send('GET', '/a/mcp', { authorization })).status).toBe(status);
    }
  });

  test('a resource at the root of its origin', async () => {
    const it = await open({ gate: (origin) => ({ resource: origin }) });
    const { headers } = await it.send('GET', '/any');
    const url = metadataIn(headers['www-authenticate']) ?? '';
    expect(url).toBe(`http://127.0.0.1:${it.port}/.well-known/oauth-protected-resource`);
    const document = await it.send('GET', new URL(url).pathname);
    expect(document.json().resource).toBe(`http://127.0.0.1:${it.port}`);
  });

  test('a public resource goes by its own name, and by those that a proxy may send', async () => {
    const gate = () => ({ resource: 'https://mcp.example.com/mcp', allowHost: ['inner:8080'] });
    const it = await open({ gate });
    const metadata = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';
    for (const host of ['mcp.example.com', 'MCP.example.com:443', 'inner:8080']) {
      const answer = await it.send('GET', '/mcp', { host });
      expect(metadataIn(answer.headers['www-authenticate']), host).toBe(metadata);
    }
    for (const host of [`localhost:${it.port}`, 'inner', 'mcp.example.com:80']) {
      expect((await it.send('GET', '/mcp', { host })).status, host).toBe(403);
    }
    const local = { host: 'mcp.example.com', origin: 'http://localhost:6274' };
    expect((await it.send('GET', '/mcp', local)).status).toBe(403);
  });

  test('scopes, claims and a name', async () => {
    const it = await open({
      gate: () => ({
        requiredScope: 'mcp:use mcp:more',
        claims: ['email'],
        name: 'Greeter',
        audience: 'urn:greeter',
      }),
    });
    const document = (await it.send('GET', '/.well-known/oauth-protected-resource/mcp')).json();
    expect(document).toMatchObject({ scopes_supported: ['mcp:use', 'mcp:more'], resource_name: 'Greeter' });
    const authorization = `Bearer ${await it.token('alice', { aud: 'urn:greeter', scope: 'mcp:use mcp:more x' })}`;
    expect((await it.send('GET', '/mcp', { authorization })).status).toBe(200);
    expect(it.seen[0]?.identity.claims).toEqual({
      sub: 'alice',
      iss: it.provider.issuer,
      email: 'alice@example.com',
    });
  });

  test('bad tokens are counted by caller, behind proxies that are named', async () => {
    const it = await open({ gate: () => ({ trustProxy: ['loopback'] }) });
    const from = (address: string) =>
      it.send('GET', '/mcp', { authorization: 'Bearer a"b', 'x-forwarded-for': `9.9.9.9, ${address}` });
    const seen: number[] = [];
    for (let i = 0; i < 160 && !seen.includes(429); i++) seen.push((await from('203.0.113.1')).status);
    expect(seen.length).toBeGreaterThan(100);
    expect(seen.at(-1)).toBe(429);
    expect((await from('203.0.113.2')).status).toBe(401);
    expect(it.log.at(-1)?.fields.from).toBe('203.0.113.2');
  });

  test('introspection, with a client of ours', async () => {
    const provider = await openTestProvider();
    ends.push(() => provider.close());
    provider.metadata.introspection_endpoint = `${provider.issuer}/introspect`;
    const { id, secret } = provider.client;
    const it = await open({
      provider,
      gate: () => ({ introspection: { clientId: id, clientSecret: secret.reveal() } }),
    });
    const token = provider.opaque('alice', {}, { aud: `${it.origin}/mcp` });
    expect((await it.send('GET', '/mcp', { authorization: `Bearer ${token}` })).status).toBe(200);
    expect(provider.introspected.length).toBe(1);
    expect(JSON.stringify(it.log)).not.toContain(secret.reveal());
  });

  test.each([
    [undefined, 200],
    [0, 503],
  ])(
    'a verdict that has run out, while the authorization server fails; stale %s: %i',
    async (stale, status) => {
      vi.useFakeTimers({ toFake: ['Date'] });
      ends.push(() => vi.useRealTimers());
      const it = await open({ gate: () => ({ stale }) });
      const authorization = `Bearer ${it.provider.opaque('alice')}`;
      expect((await it.send('GET', '/mcp', { authorization })).status).toBe(200);
      it.provider.instead.set('userinfo', (_req, res) => void res.writeHead(503).end());
      vi.setSystemTime(Date.now() + 90_000);
      expect((await it.send('GET', '/mcp', { authorization })).status).toBe(status);
    },
  );
});

describe('its life', () => {
  test('it is ready when the authorization server is, and says 503 until then', async () => {
    const provider = await openTestProvider();
    ends.push(() => provider.close());
    provider.instead.set('all', (_req, res) => void res.writeHead(503).end());
    const it = await open({ provider, wait: false });
    const authorization = `Bearer ${await it.token()}`;
    expect(it.gate.isReady()).toBe(false);
    expect((await it.send('GET', '/mcp', { authorization })).status).toBe(503);
    provider.instead.clear();
    await it.gate.ready;
    expect(it.gate.isReady()).toBe(true);
    expect((await it.send('GET', '/mcp', { authorization })).status).toBe(200);
  });

  test('ready fails where the metadata is unfit; nobody has to listen', async () => {
    const provider = await openTestProvider();
    ends.push(() => provider.close());
    provider.metadata.issuer = 'https://other.example';
    const it = await open({ provider, wait: false });
    await expect(it.gate.ready).rejects.toMatchObject({ code: 'metadata_invalid' });
    expect(it.log).toContainEqual(expect.objectContaining({ level: 'error' }));
  });

  test('what is logged is safe to print, and a log is not needed', async () => {
    const it = await open({});
    await it.send('GET', '/mcp', { host: 'evil\u009b2J.example' });
    const entry = it.log.find(({ message }) => message === 'host refused');
    expect(entry).toMatchObject({ level: 'info', fields: { path: '/mcp' } });
    expect(entry?.fields.host).toMatch(/^evil[^\u0080-\u009f]+example$/);
    const silent = await open({ provider: it.provider, gate: () => ({ log: undefined }) });
    expect((await silent.send('GET', '/mcp')).status).toBe(401);
  });

  test('who did not come through a gate is nobody', () => {
    for (const carrier of [
      undefined,
      {},
      { token: 'x', extra: { subject: 'alice' } },
      new Request('http://x'),
    ]) {
      expect(() => identityOf(carrier)).toThrow(expect.objectContaining({ code: 'usage' }));
    }
  });

  test('a handler that fails is answered for: 500, without a word of why', async () => {
    const fails = () => Promise.reject(new Error('secret detail'));
    const it = await open({ behind: (gate) => gate.node(fails) });
    const answer = await it.send('GET', '/mcp', { authorization: `Bearer ${await it.token()}` });
    expect([answer.status, answer.json()]).toEqual([500, { error: 'server_error' }]);
    const gate = createGate({ resource: `${it.origin}/mcp`, issuer: it.provider.issuer });
    ends.push(() => gate.close());
    await gate.ready;
    const headers = { authorization: `Bearer ${await it.token()}` };
    const response = await gate.fetch(fails)(new Request(`${it.origin}/mcp`, { headers }));
    expect([response.status, await response.json()]).toEqual([500, { error: 'server_error' }]);
  });
});
