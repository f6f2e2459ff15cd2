import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { wellKnownForms } from '../../../src/server/provider/discovery.ts';
import { until } from '../../support/until.ts';
import { json, openTestProvider, type TestProvider } from './support/provider.ts';
import { call, openWorld, type World, type WorldOptions } from './support/world.ts';

let provider: TestProvider;
let worlds: World[] = [];
beforeEach(async () => {
  provider = await openTestProvider();
});
afterEach(async () => {
  await Promise.all(worlds.map((world) => world.close()));
  worlds = [];
  await provider.close();
});

async function open(options: WorldOptions = {}): Promise<World> {
  const world = await openWorld({ provider, ...options });
  worlds.push(world);
  return world;
}
const unfit = async (options: WorldOptions = {}) => {
  const world = await open({ wait: false, ...options });
  const error = await world.server.ready.then(
    () => undefined,
    (reason: unknown) => reason as { code: string; message: string; hint?: string },
  );
  return { world, error };
};

test('three well-known addresses of an issuer with a path, two of one without', () => {
  expect(wellKnownForms('https://h.example/oidc').map(String)).toEqual([
    'https://h.example/.well-known/oauth-authorization-server/oidc',
    'https://h.example/oidc/.well-known/openid-configuration',
    'https://h.example/.well-known/openid-configuration/oidc',
    'https://h.example/oidc/.well-known/oauth-authorization-server',
  ]);
  expect(wellKnownForms('https://h.example/t/org/oauth2/token/').map(String)).toEqual([
    'https://h.example/.well-known/oauth-authorization-server/t/org/oauth2/token',
    'https://h.example/t/org/oauth2/token/.well-known/openid-configuration',
    'https://h.example/.well-known/openid-configuration/t/org/oauth2/token',
    'https://h.example/t/org/oauth2/token/.well-known/oauth-authorization-server',
  ]);
  expect(wellKnownForms('https://h.example').map(String)).toEqual([
    'https://h.example/.well-known/oauth-authorization-server',
    'https://h.example/.well-known/openid-configuration',
  ]);
});

describe('each form alone is enough', () => {
  test.each([
    '/.well-known/oauth-authorization-server/oidc',
    '/oidc/.well-known/openid-configuration',
    '/.well-known/openid-configuration/oidc',
    '/oidc/.well-known/oauth-authorization-server',
  ])('%s', async (path) => {
    provider.instead.set('discovery', (req, res) =>
      req.url === path ? json(res, 200, provider.metadata) : json(res, 404, {}),
    );
    const world = await open();
    expect((await world.rpc(await world.token(), call())).status).toBe(200);
  });
});

test.each([
  ['a day behind', -24 * 3_600_000, true],
  ['a little ahead', 120_000, false],
])('a provider whose clock is %s: told at the start where it matters', async (_, ahead, told) => {
  provider.instead.set('discovery', (_req, res) => {
    res.setHeader('date', new Date(Date.now() + ahead).toUTCString());
    json(res, 200, provider.metadata);
  });
  const world = await open();
  expect(world.log().includes('check the clock of this machine: it is 24 h ahead')).toBe(told);
  expect(world.log().includes('clock')).toBe(told);
});

test('of two documents the one that offers more is used', async () => {
  provider.instead.set('discovery', (req, res) => {
    const { userinfo_endpoint: _userinfo, jwks_uri: _jwks, ...less } = provider.metadata;
    json(res, 200, req.url?.includes('oauth-authorization-server') ? less : provider.metadata);
  });
  const world = await open();
  expect(world.verification()).toContain('JWT');
});

test('a document of somebody else does not spoil a good one', async () => {
  provider.instead.set('discovery', (req, res) => {
    const issuer = req.url?.startsWith('/.well-known/') ? provider.origin : provider.issuer;
    json(res, 200, { ...provider.metadata, issuer });
  });
  const world = await open();
  expect((await world.rpc(await world.token(), call())).status).toBe(200);
});

describe('metadata that is unfit', () => {
  test.each([
    ['another issuer', { issuer: 'https://other.example' }, 'metadata_invalid', 'https://other.example'],
    ['an issuer in other letters', { issuer: 'HTTP://127.0.0.1/oidc' }, 'metadata_invalid', 'HTTP://127'],
    ['no issuer', { issuer: undefined }, 'metadata_invalid', 'no issuer'],
    ['an issuer that is no text', { issuer: ['x'] }, 'metadata_invalid', 'no issuer'],
    [
      'nothing to verify by',
      { jwks_uri: undefined, userinfo_endpoint: undefined },
      'metadata_invalid',
      'jwks_uri',
    ],
    ['keys over plain http elsewhere', { jwks_uri: 'http://keys.example/k' }, 'insecure_url', 'jwks_uri'],
    ['keys in a file', { jwks_uri: 'file:///etc/passwd' }, 'insecure_url', 'jwks_uri'],
    [
      'userinfo with a user part',
      { userinfo_endpoint: 'https://a@evil.example/' },
      'insecure_url',
      'userinfo',
    ],
  ])('%s: ready rejects, the server goes on with 503 and says why', async (_what, change, code, text) => {
    provider.metadata = { ...provider.metadata, ...change };
    const { world, error } = await unfit();
    expect(error).toMatchObject({ code });
    expect(error?.message).toContain(text);
    expect((await world.send('GET', '/readyz')).status).toBe(503);
    expect((await world.rpc(provider.opaque('olga'), call())).status).toBe(503);
    expect((await world.send('GET', '/.well-known/oauth-authorization-server')).status).toBe(503);
    expect(world.log()).toContain('error:');
  });

  test('no document anywhere', async () => {
    provider.instead.set('discovery', (_req, res) => json(res, 404, {}));
    expect((await unfit()).error).toMatchObject({
      code: 'metadata_invalid',
      hint: expect.stringContaining('--metadata'),
    });
  });

  test.each([
    ['a page', '<html>'],
    ['a list', '[]'],
    ['JSON without a floor', '['.repeat(1_000)],
  ])('%s where the document should be', async (_what, body) => {
    provider.instead.set('discovery', (_req, res) => void res.writeHead(200).end(body));
    expect((await unfit()).error).toMatchObject({ code: 'metadata_invalid' });
  });

  test('keys only, with --verify userinfo; userinfo only, with --verify jwt', async () => {
    const { userinfo_endpoint: userinfo, jwks_uri: jwks, ...rest } = provider.metadata;
    provider.metadata = { ...rest, jwks_uri: jwks };
    expect((await unfit({ settings: { verify: 'userinfo' } })).error?.message).toContain('userinfo_endpoint');
    provider.metadata = { ...rest, userinfo_endpoint: userinfo };
    expect((await unfit({ settings: { verify: 'jwt' } })).error?.message).toContain('jwks_uri');
    expect((await unfit({ settings: { audience: 'urn:x' } })).error?.message).toContain('checks no audience');
  });

  test('once it is put right the server works without a restart', async () => {
    const right = provider.metadata;
    provider.metadata = { ...right, issuer: 'https://other.example' };
    const { world } = await unfit();
    provider.metadata = right;
    await until('readiness', 10_000, async () => (await world.send('GET', '/readyz')).status === 200);
    expect((await world.rpc(await world.token(), call())).status).toBe(200);
  });
});

test('one slash at the end of the issuer is only warned about; tokens carry the published form', async () => {
  provider.metadata = { ...provider.metadata, issuer: `${provider.issuer}/` };
  const world = await open();
  expect(world.log()).toContain('another slash at its end');
  const token = await provider.jwt({ claims: { aud: `${world.origin}/mcp`, iss: `${provider.issuer}/` } });
  expect((await world.rpc(token, call())).status).toBe(200);
  expect((await world.rpc(await world.token(), call())).status).toBe(401);
  const document = await world.send('GET', '/.well-known/oauth-protected-resource');
  expect(document.json().authorization_servers).toEqual([`${provider.issuer}/`]);
});

test('the server listens before the issuer is there, answers 503, and is ready once it comes', async () => {
  const { port, issuer } = provider;
  await provider.close();
  const world = await open({ wait: false });
  await until('the failed search', 5_000, () => world.log().includes('nothing listens'));
  expect((await world.send('GET', '/healthz')).status).toBe(200);
  expect((await world.send('GET', '/readyz')).status).toBe(503);
  expect((await world.send('GET', '/readyz')).headers['retry-after']).toBeDefined();
  const challenge = (await world.send('GET', '/sse')).headers['www-authenticate'];
  expect(challenge).toContain('resource_metadata=');
  const refused = await world.rpc('some-token', call());
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2']);
  const mirror = await world.send('GET', '/.well-known/oauth-authorization-server');
  expect([mirror.status, mirror.headers['retry-after']]).toEqual([503, '2']);
  const document = await world.send('GET', '/.well-known/oauth-protected-resource/sse');
  expect(document.json().authorization_servers).toEqual([issuer]);
  provider = await openTestProvider({ port });
  await world.server.ready;
  expect((await world.send('GET', '/readyz')).status).toBe(200);
  const token = await provider.jwt({ claims: { aud: `${world.origin}/mcp` } });
  expect((await world.rpc(token, call())).status).toBe(200);
  expect(world.log()).toContain('the authorization server is there');
});

describe('providers without discovery', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'metadata-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(() => void provider.instead.set('discovery', (_req, res) => json(res, 404, {})));

  test('--metadata FILE and --metadata URL', async () => {
    const file = join(folder, 'as.json');
    await writeFile(file, JSON.stringify(provider.metadata));
    provider.instead.set('other', (req, res) =>
      json(res, req.url === '/meta' ? 200 : 404, provider.metadata),
    );
    for (const metadata of [file, `${provider.origin}/meta`]) {
      const world = await open({ settings: { metadata } });
      expect((await world.rpc(await world.token(), call())).status).toBe(200);
    }
  });

  test('a file that is not there, and one of another issuer', async () => {
    expect((await unfit({ settings: { metadata: join(folder, 'none') } })).error?.message).toContain(
      'no file',
    );
    const file = join(folder, 'other.json');
    await writeFile(file, JSON.stringify({ ...provider.metadata, issuer: 'https://other.example' }));
    expect((await unfit({ settings: { metadata: file } })).error).toMatchObject({ code: 'metadata_invalid' });
  });

  test('--userinfo-url alone is enough; there is nothing to mirror then', async () => {
    const world = await open({ settings: { userinfoUrl: `${provider.issuer}/me` } });
    expect((await world.rpc(provider.opaque('olga'), call())).status).toBe(200);
    expect((await world.rpc('nobody', call())).status).toBe(401);
    expect((await world.send('GET', '/.well-known/oauth-authorization-server')).status).toBe(404);
    const document = (await world.send('GET', '/.well-known/oauth-protected-resource')).json();
    expect(document).not.toHaveProperty('scopes_supported');
    expect((await world.send('GET', '/sse')).headers['www-authenticate']).not.toContain('scope=');
  });
});

test('a plain OAuth server is not asked for OpenID scopes', async () => {
  const { userinfo_endpoint: _userinfo, ...rest } = provider.metadata;
  provider.metadata = { ...rest, scopes_supported: ['read'] };
  const world = await open();
  expect((await world.send('GET', '/sse')).headers['www-authenticate']).not.toContain('scope=');
  const token = await provider.jwt({ claims: { aud: `${world.origin}/mcp`, scope: 'read' } });
  expect((await world.rpc(token, call())).status).toBe(200);
});

test('the first request of all may come before the first answer: it waits for that, and is none of a failure', async () => {
  const held: (() => void)[] = [];
  provider.instead.set('discovery', (_req, res) => void held.push(() => json(res, 200, provider.metadata)));
  const world = await open({ wait: false });
  const early = world.rpc(await world.token(), call());
  await until('the questions', 5_000, () => held.length > 0);
  provider.instead.clear();
  for (const answer of held) answer();
  expect((await early).status).toBe(200);
});
