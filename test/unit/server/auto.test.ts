import { afterAll, beforeAll, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { json } from './support/provider.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const status = async (token: string, at = world) => (await at.rpc(token, call())).status;

test('a JWT of our issuer is judged by its signature, without asking userinfo', async () => {
  const before = world.provider.counts.userinfo;
  expect(await status(await world.token())).toBe(200);
  expect(await status(await world.provider.jwt({ claims: { aud: 'https://other.example' } }))).toBe(401);
  expect(world.provider.counts.userinfo).toBe(before);
});

test(threat('R19', 'one of another issuer is refused, and nobody is asked'), async () => {
  const before = { ...world.provider.counts };
  const claims = { iss: 'https://other.example' };
  expect(await status(await world.provider.jwt({ claims }))).toBe(401);
  expect(await status(await world.provider.jwt({ claims, without: ['aud'] }))).toBe(401);
  expect(world.provider.counts).toEqual(before);
});

test(threat('R4', "one that names no issuer is judged as a JWT, and is nobody's: 401"), async () => {
  const before = world.provider.counts.userinfo;
  const claims = { aud: `${world.origin}/mcp` };
  expect(await status(await world.provider.jwt({ claims, without: ['iss'] }))).toBe(401);
  expect(world.provider.counts.userinfo).toBe(before);
});

test('one without any audience is asked about at userinfo', async () => {
  const before = world.provider.counts.userinfo ?? 0;
  expect(await status(await world.provider.jwt({ without: ['aud'] }))).toBe(200);
  expect(world.provider.counts.userinfo).toBe(before + 1);
});

test('opaque tokens go to userinfo, whatever dots they have; the first one is warned about', async () => {
  expect(await status(world.provider.opaque('olga'))).toBe(200);
  expect(await status(world.provider.opaque('olga'))).toBe(200);
  expect(world.log().match(/does not tell whom they are for/g)).toHaveLength(1);
  const before = world.provider.counts.userinfo ?? 0;
  expect(await status('a.b.c')).toBe(401);
  expect(world.provider.counts.userinfo).toBe(before + 1);
});

test(threat('R4', 'a JWT for somebody else is none the less a JWT with something at its end'), async () => {
  const foreign = await world.provider.jwt({ claims: { aud: 'https://other.example' } });
  // Some parsers drop what is empty at the end: their userinfo knows such a token.
  world.provider.instead.set('userinfo', (_req, res) => json(res, 200, { sub: 'alice' }));
  const before = world.provider.counts.userinfo;
  for (const end of ['.', '..', '.x', '.~', '=.']) expect(await status(foreign + end)).toBe(401);
  const [head = '', claims = ''] = foreign.split('.');
  for (const part of [`${head}.${claims}`, `${head}.${claims}.`, head]) expect(await status(part)).toBe(401);
  expect(world.provider.counts.userinfo).toBe(before);
  // What is encrypted for the provider alone is opaque to everybody else (RFC 7516).
  const encrypted = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM' })).toString('base64url');
  expect(await status(`${encrypted}..iv.text.tag`)).toBe(200);
  const session = Buffer.from('{"user":1}').toString('base64url');
  expect(await status(`${session}.time.proof`)).toBe(200);
  world.provider.instead.clear();
});

test('an audience that was asked for by name cannot be dodged with an opaque token', async () => {
  const own = await openWorld({ provider: world.provider, settings: { audience: 'urn:mine' } });
  try {
    const before = world.provider.counts.userinfo;
    expect(await status(world.provider.opaque('olga'), own)).toBe(401);
    expect(await status(await world.provider.jwt({ without: ['aud'] }), own)).toBe(401);
    expect(world.provider.counts.userinfo).toBe(before);
    expect(await status(await world.provider.jwt({ claims: { aud: 'urn:mine' } }), own)).toBe(200);
    expect(await status(await own.token(), own)).toBe(401);
    expect(own.verification()).toBe(
      `JWT (keys of ${world.provider.issuer}/jwks), audience: checked (auto: it publishes keys; userinfo cannot check what --audience, --required-scope or --allow ask for)`,
    );
  } finally {
    await own.close();
  }
});

test('the start-up line and /readyz say which audiences are checked', async () => {
  const { issuer } = world.provider;
  expect(world.verification()).toBe(
    `JWT (keys of ${issuer}/jwks), audience: checked; opaque tokens by userinfo ${issuer}/me, audience: not checked (auto: it publishes keys; no introspection credentials are set)`,
  );
  expect((await world.send('GET', '/readyz')).json()).toEqual({
    status: 'ok',
    issuers: [
      {
        issuer,
        metadata: 'known',
        keys: 'loaded',
        verification: ['jwt', 'userinfo'],
        reason: 'auto: it publishes keys; no introspection credentials are set',
        audience: 'checked in JWTs only',
      },
    ],
  });
});
