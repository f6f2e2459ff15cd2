import { createHmac, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { json, makeKey, openTestProvider, type TestProvider } from './support/provider.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let provider: TestProvider;
beforeEach(async () => {
  world = await openWorld({ settings: { verify: 'jwt' } });
  provider = world.provider;
});
afterEach(() => world.close());

const minutes = 60_000;
const day = 24 * 60 * minutes;
const farAway = () => ({ exp: Math.floor(Date.now() / 1000) + 10 * 86_400, aud: `${world.origin}/mcp` });
const mint = (options = {}) => provider.jwt({ claims: farAway(), ...options });
const status = async (token: string) => (await world.rpc(token, call())).status;
const failing = () => provider.instead.set('jwks', (_req, res) => json(res, 500, {}));

test('the keys are fetched once, before the server is ready', async () => {
  expect(provider.counts.jwks).toBe(1);
  expect((await world.send('GET', '/readyz')).json()).toMatchObject({
    issuers: [{ keys: 'loaded', audience: 'checked' }],
  });
  for (let i = 0; i < 20; i++) expect(await status(await mint())).toBe(200);
  expect(provider.counts.jwks).toBe(1);
});

test(threat('R3', 'a new key is found at its first use'), async () => {
  const next = await makeKey('second');
  provider.keys = [...provider.keys, next.jwk];
  expect(await status(await mint({ key: next }))).toBe(200);
  expect(provider.counts.jwks).toBe(2);
});

test(threat('R3', 'unknown key ids cost one fetch in 30 s, however many come'), async () => {
  const strangers = await Promise.all(
    Array.from({ length: 60 }, (_, i) => mint({ header: { kid: `k${i}` } })),
  );
  const seen = await Promise.all(strangers.map(status));
  expect(new Set(seen)).toEqual(new Set([401]));
  expect(provider.counts.jwks).toBe(2);
  world.pass(31_000);
  expect(await status(await mint({ header: { kid: 'later' } }))).toBe(401);
  expect(provider.counts.jwks).toBe(3);
});

test(threat('R3', 'algorithms that nobody accepts and ids that are no text cost no fetch'), async () => {
  const [, payload, signature] = (await mint()).split('.');
  const headers = [
    { alg: 'none' },
    { alg: 'HS256', kid: 'first' },
    { alg: 'ES256K' },
    { alg: 'ES256', kid: {} },
    { alg: 'ES256', kid: 7 },
  ];
  for (const header of headers) {
    const first = Buffer.from(JSON.stringify({ typ: 'at+jwt', ...header })).toString('base64url');
    expect(await status([first, payload, signature].join('.'))).toBe(401);
  }
  expect(provider.counts.jwks).toBe(1);
});

test('an unknown key while the keys cannot be fetched is no verdict: 503, not 401', async () => {
  failing();
  const next = await makeKey('second');
  expect(await status(await mint({ key: next }))).toBe(503);
  expect(await status(await mint({ key: next }))).toBe(503);
  expect(provider.counts.jwks).toBe(2);
  expect(await status(await mint())).toBe(200);
});

test('keys older than 10 min are renewed in the background; the old ones serve meanwhile', async () => {
  let release = () => {};
  provider.instead.set('jwks', (_req, res) => {
    release = () => json(res, 200, { keys: provider.keys });
  });
  world.pass(11 * minutes);
  expect(await status(await mint())).toBe(200);
  await until('a background fetch', 5_000, () => provider.counts.jwks === 2);
  expect(await status(await mint())).toBe(200);
  release();
  provider.instead.clear();
});

test(threat('R3', 'a key that was removed is gone with the next good answer'), async () => {
  const next = await makeKey('second');
  const old = await mint();
  provider.keys = [next.jwk];
  world.pass(61 * minutes);
  expect(await status(old)).toBe(401);
  expect(await status(await mint({ key: next }))).toBe(200);
});

test(threat('R3', 'old keys serve for 24 h while the provider fails, and no longer'), async () => {
  failing();
  world.pass(23 * 60 * minutes);
  expect(await status(await mint())).toBe(200);
  expect(world.log()).toContain('old signing keys stay in use');
  world.pass(2 * 60 * minutes);
  expect(await status(await mint())).toBe(503);
  world.pass(day);
  provider.instead.clear();
  expect(await status(await mint())).toBe(200);
});

describe('odd key sets', () => {
  test('keys without a name are tried one after another', async () => {
    const nameless = await Promise.all([makeKey(undefined), makeKey(undefined), makeKey(undefined)]);
    provider.keys = nameless.map(({ jwk }) => jwk);
    world.pass(61 * minutes);
    for (const key of nameless) {
      expect(await status(await mint({ key, header: { kid: undefined } }))).toBe(200);
      expect(await status(await mint({ key, header: { kid: 'named' } }))).toBe(200);
    }
  });

  test(threat('R1', 'keys for encryption, symmetric, private and malformed ones are not used'), async () => {
    const [good, encrypting, misfit] = await Promise.all([
      makeKey('good'),
      makeKey('enc'),
      makeKey('misfit'),
    ]);
    provider.keys = [
      null as never,
      'key' as never,
      { kty: 'oct', k: 'AAAA', kid: 'good' },
      { kty: 'EC', crv: 'P-256', kid: 'good', x: '!', y: '!' },
      { ...encrypting.jwk, use: 'enc' },
      { ...misfit.jwk, alg: 'ES384' },
      good.jwk,
    ];
    world.pass(61 * minutes);
    expect(await status(await mint({ key: good }))).toBe(200);
    expect(await status(await mint({ key: encrypting }))).toBe(401);
    const { alg: _alg, ...jwk } = misfit.jwk;
    expect(await status(await mint({ key: { ...misfit, jwk: { ...jwk, alg: 'ES256' } } }))).toBe(401);
  });

  test(threat('R1', 'a secret that the provider publishes by mistake signs nothing'), async () => {
    const secret = randomBytes(32);
    const own = provider.keys;
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      provider.keys = [...own, { kty: 'oct', k: secret.toString('base64url'), kid: 'shared', alg }];
      world.pass(61 * minutes);
      const header = Buffer.from(JSON.stringify({ alg, typ: 'at+jwt', kid: 'shared' })).toString('base64url');
      const input = `${header}.${(await mint()).split('.')[1]}`;
      const hash = createHmac(`sha${alg.slice(2)}`, secret)
        .update(input)
        .digest('base64url');
      expect(await status(`${input}.${hash}`)).toBe(401);
    }
  });

  test('no more than 64 keys are looked at', async () => {
    const late = await makeKey('late');
    const filler = Array.from({ length: 64 }, (_, i) => ({ ...late.jwk, kid: `f${i}` }));
    provider.keys = [...filler, late.jwk];
    world.pass(61 * minutes);
    expect(await status(await mint({ key: late }))).toBe(401);
  });

  test.each([
    ['no JSON', '<html>'],
    ['no keys', '{}'],
    ['keys that are no list', '{"keys":{}}'],
    ['too much', `{"keys":[],"x":"${'x'.repeat(300_000)}"}`],
  ])('an answer with %s leaves the old keys in use', async (_what, body) => {
    provider.instead.set('jwks', (_req, res) => void res.end(body));
    world.pass(61 * minutes);
    expect(await status(await mint())).toBe(200);
  });
});

test('without keys the server is not ready, and becomes so when they come', async () => {
  const slow = await openTestProvider();
  slow.instead.set('jwks', (_req, res) => json(res, 503, {}));
  const own = await openWorld({ provider: slow, wait: false });
  try {
    await until('the failed fetch', 5_000, () => own.log().includes('signing keys'));
    expect((await own.send('GET', '/readyz')).status).toBe(503);
    const token = await own.token();
    expect((await own.rpc(token, call())).status).toBe(503);
    slow.instead.clear();
    await own.server.ready;
    expect((await own.send('GET', '/readyz')).status).toBe(200);
    expect((await own.rpc(token, call())).status).toBe(200);
  } finally {
    await own.close();
    await slow.close();
  }
});
