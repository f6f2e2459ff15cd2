import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IssuerRules } from '../../../src/lib/settings.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { json, makeKey, openTestProvider, type TestProvider } from './support/provider.ts';
import { call, defaultRules, openWorld, type World } from './support/world.ts';

let a: TestProvider;
let b: TestProvider;
let world: World | undefined;
beforeEach(async () => {
  [a, b] = await Promise.all([openTestProvider(), openTestProvider()]);
  b.keys = [(await makeKey('first')).jwk];
});
afterEach(async () => {
  await world?.close();
  world = undefined;
  await Promise.all([a.close(), b.close()]);
});

async function open(
  rules: { a?: Partial<IssuerRules>; b?: Partial<IssuerRules> } = { b: { verify: 'jwt' } },
  wait = true,
): Promise<World> {
  const issuers = [
    { ...defaultRules, ...rules.a, issuer: a.issuer },
    { ...defaultRules, ...rules.b, issuer: b.issuer },
  ];
  world = await openWorld({ provider: a, settings: { issuers }, wait });
  return world;
}
const audience = (at: World) => ({ aud: `${at.origin}/mcp` });
const status = async (at: World, token: string) => (await at.rpc(token, call())).status;
/** A JWT of `of`, signed by whoever `key` is. */
async function keyOf(provider: TestProvider) {
  const key = await makeKey('own');
  provider.keys = [...provider.keys, key.jwk];
  return key;
}
const asked = () => ({ a: { ...a.counts }, b: { ...b.counts } });

describe('several issuers', () => {
  test('each JWT is verified by its own issuer, and its users are not those of the other', async () => {
    const key = await keyOf(b);
    const at = await open();
    const claims = audience(at);
    const ofA = await at.rpc(await a.jwt({ claims }), call());
    const ofB = await at.rpc(await b.jwt({ claims, key }), call());
    expect([ofA.json(), ofB.json()]).toMatchObject([
      { result: { structuredContent: { iss: a.issuer, sub: 'alice' } } },
      { result: { structuredContent: { iss: b.issuer, sub: 'alice' } } },
    ]);
  });

  test(
    threat('R4', "one issuer's signature under the other one's name, and a third issuer: 401"),
    async () => {
      const key = await keyOf(b);
      const at = await open();
      const claims = audience(at);
      const before = asked();
      expect(await status(at, await b.jwt({ key, claims: { ...claims, iss: a.issuer } }))).toBe(401);
      expect(await status(at, await a.jwt({ claims: { ...claims, iss: `${a.issuer}/` } }))).toBe(401);
      expect(await status(at, await a.jwt({ claims: { ...claims, iss: [a.issuer] } }))).toBe(401);
      expect(await status(at, await a.jwt({ claims: { ...claims, iss: 'https://c.example' } }))).toBe(401);
      // Only the key of another name is looked for, and only at the issuer that the token names.
      expect(asked().b).toEqual(before.b);
      expect(asked().a.userinfo).toBe(before.a.userinfo);
    },
  );

  test(threat('R19', 'an opaque token is shown to the one issuer that may have issued it'), async () => {
    const at = await open();
    const before = asked();
    expect(await status(at, a.opaque('olga'))).toBe(200);
    expect(await status(at, b.opaque('olga'))).toBe(401);
    expect(asked().b).toEqual(before.b);
    expect(asked().a.userinfo).toBe((before.a.userinfo ?? 0) + 2);
  });

  test('a JWT without an audience is shown to its own issuer alone', async () => {
    const at = await open({ a: { verify: 'jwt' } });
    const before = asked();
    expect(await status(at, await b.jwt({ without: ['aud'] }))).toBe(200);
    expect(await status(at, await a.jwt({ without: ['aud'] }))).toBe(401);
    expect(asked().a).toEqual(before.a);
  });

  test('each has rules of its own', async () => {
    const key = await keyOf(b);
    const at = await open({
      a: { verify: 'jwt', audience: 'urn:a' },
      b: { verify: 'jwt', requiredScope: ['b:read'], allow: [{ claim: 'groups', values: ['staff'] }] },
    });
    expect(await status(at, await a.jwt({ claims: { aud: 'urn:a' } }))).toBe(200);
    expect(await status(at, await a.jwt({ claims: audience(at) }))).toBe(401);
    const ofB = (claims: object) => b.jwt({ key, claims: { ...audience(at), ...claims } });
    expect(await status(at, await ofB({ scope: 'b:read', groups: 'staff' }))).toBe(200);
    expect(await status(at, await ofB({ scope: 'b:read' }))).toBe(403);
    const refused = await at.rpc(await ofB({ groups: 'staff' }), call());
    expect(refused.headers['www-authenticate']).toMatch(/scope="b:read"$/);
    expect(await status(at, await b.jwt({ key, claims: { aud: 'urn:a' } }))).toBe(401);
  });

  test('the metadata lists them all, and asks for what each has a use for', async () => {
    b.metadata = { ...b.metadata, scopes_supported: ['openid', 'profile', 'b:read'] };
    const at = await open();
    const document = (await at.send('GET', '/.well-known/oauth-protected-resource/mcp')).json();
    expect(document).toMatchObject({
      authorization_servers: [a.issuer, b.issuer],
      scopes_supported: ['openid', 'profile'],
    });
    expect((await at.send('GET', '/sse')).headers['www-authenticate']).toMatch(/scope="openid profile"$/);
    const mirror = await at.send('GET', '/.well-known/oauth-authorization-server');
    expect(mirror.body).toBe(JSON.stringify(a.metadata));
  });

  test('the start-up tells how each is verified', async () => {
    const at = await open();
    expect(at.server.issuers.map((one) => [one.issuer, one.verification()])).toEqual([
      [a.issuer, expect.stringContaining('opaque tokens by userinfo')],
      [b.issuer, `JWT (keys of ${b.issuer}/jwks), audience: checked (--verify jwt)`],
    ]);
  });
});

describe('one issuer that is down', () => {
  test('does not stop the others: their users call, the server is ready, and says who is missing', async () => {
    const key = await keyOf(b);
    b.instead.set('all', (_req, res) => json(res, 503, {}));
    const at = await open({ b: { verify: 'jwt' } }, false);
    await until('the first issuer', 10_000, async () => (await at.send('GET', '/readyz')).status === 200);
    expect(await status(at, await a.jwt({ claims: audience(at) }))).toBe(200);
    expect(await status(at, a.opaque('olga'))).toBe(200);
    const ofB = await at.rpc(await b.jwt({ claims: audience(at) }), call());
    expect([ofB.status, ofB.headers['retry-after']]).toEqual([503, '2']);
    expect(await status(at, await b.jwt({ claims: { iss: 'https://c.example' } }))).toBe(401);
    expect((await at.send('GET', '/readyz')).json()).toMatchObject({
      issuers: [{ metadata: 'known' }, { issuer: b.issuer, metadata: 'unknown' }],
    });
    expect((await at.send('GET', '/.well-known/oauth-protected-resource')).json()).toMatchObject({
      authorization_servers: [a.issuer, b.issuer],
    });
    b.instead.clear();
    await at.server.ready;
    expect(await status(at, await b.jwt({ key, claims: audience(at) }))).toBe(200);
  });

  test('an opaque token waits until it is certain whose it may be', async () => {
    const { userinfo_endpoint: _none, ...rest } = b.metadata;
    b.metadata = rest;
    b.instead.set('all', (_req, res) => json(res, 503, {}));
    const at = await open({}, false);
    await until('the first issuer', 10_000, async () => (await at.send('GET', '/readyz')).status === 200);
    const before = a.counts.userinfo;
    const token = a.opaque('olga');
    expect(await status(at, token)).toBe(503);
    expect(a.counts.userinfo).toBe(before);
    b.instead.clear();
    await at.server.ready;
    expect(await status(at, token)).toBe(200);
  });
});

describe('two issuers that may both have issued an opaque token', () => {
  test('are unfit together: said once, JWTs go on, opaque tokens are shown to nobody', async () => {
    const at = await open({}, false);
    const error = await at.server.ready.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: 'metadata_invalid',
      message: expect.stringContaining(`${a.issuer} and ${b.issuer}`),
      hint: expect.stringContaining('--verify jwt'),
    });
    const before = asked();
    expect(await status(at, a.opaque('olga'))).toBe(503);
    expect(asked()).toEqual(before);
    expect(await status(at, await a.jwt({ claims: audience(at) }))).toBe(200);
    expect(at.log()).toContain('error: an opaque token may be of');
  });
});
