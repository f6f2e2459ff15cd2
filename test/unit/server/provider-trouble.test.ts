import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { json } from './support/provider.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ settings: { verify: 'userinfo' } });
});
afterAll(() => world.close());
afterEach(() => world.provider.instead.clear());

const status = async (token: string, at = world) => (await at.rpc(token, call())).status;
const questions = () => world.provider.counts.userinfo ?? 0;
/** A good answer closes the circuit that the failures of an earlier test have opened. */
async function settle(): Promise<void> {
  world.provider.instead.clear();
  world.pass(2_000);
  expect(await status(world.provider.opaque('settler'))).toBe(200);
}

describe('a provider in trouble', () => {
  test('after five failures in a row it is asked once a second, until it answers', async () => {
    await settle();
    world.provider.instead.set('userinfo', (_req, res) => json(res, 500, {}));
    for (let i = 0; i < 5; i++) await status(world.provider.opaque('x'));
    const before = questions();
    for (let i = 0; i < 10; i++) expect(await status(world.provider.opaque('x'))).toBe(503);
    expect(questions()).toBe(before);
    world.pass(1_100);
    for (let i = 0; i < 10; i++) expect(await status(world.provider.opaque('x'))).toBe(503);
    expect(questions()).toBe(before + 1);
    world.provider.instead.clear();
    world.pass(1_100);
    for (let i = 0; i < 3; i++) expect(await status(world.provider.opaque('x'))).toBe(200);
  });

  test.each([
    [431, '{}'],
    [414, '{}'],
    [413, '{}'],
    [200, '{"name":"a machine"}'],
    [200, 'no JSON'],
  ])(
    threat('R8', 'tokens that it answers oddly (%i %s) keep nobody else from being asked about'),
    async (code, body) => {
      await settle();
      world.provider.instead.set('userinfo', (req, res) => {
        if (req.headers.authorization?.includes('odd')) res.writeHead(code).end(body);
        else json(res, 200, { sub: 'alice' });
      });
      const odd = await Promise.all(Array.from({ length: 12 }, (_, i) => status(`odd-${code}-${i}`)));
      expect(new Set(odd)).toEqual(new Set([code === 200 ? 503 : 401]));
      expect(await status(world.provider.opaque('alice'))).toBe(200);
    },
  );

  test('at most 32 questions are under way; the others wait for their turn', async () => {
    await settle();
    const open: ServerResponse[] = [];
    let most = 0;
    world.provider.instead.set('userinfo', (_req, res) => {
      open.push(res);
      most = Math.max(most, open.length);
    });
    const all = Promise.all(Array.from({ length: 40 }, (_, i) => status(world.provider.opaque(`u${i}`))));
    await until('32 questions', 5_000, () => open.length === 32);
    const answerAll = () => {
      for (const res of open.splice(0)) json(res, 200, { sub: 'somebody' });
    };
    answerAll();
    await until('the other 8', 5_000, () => open.length === 8);
    answerAll();
    expect(new Set(await all)).toEqual(new Set([200]));
    expect(most).toBe(32);
  });

  test('known tokens keep working for --stale, and it is said once a minute', async () => {
    await settle();
    const token = world.provider.opaque('olga');
    expect(await status(token)).toBe(200);
    world.provider.instead.set('userinfo', (_req, res) => json(res, 503, {}));
    world.pass(61_000);
    for (let i = 0; i < 5; i++) expect(await status(token)).toBe(200);
    world.pass(20_000);
    for (let i = 0; i < 5; i++) expect(await status(token)).toBe(200);
    expect(world.log().match(/served while the authorization server fails/g)).toHaveLength(1);
    world.pass(270_000);
    expect(await status(token)).toBe(200);
    world.pass(15_000);
    expect(await status(token)).toBe(503);
    await settle();
    expect(await status(token)).toBe(200);
  });

  test('with --stale 0 a verdict that has run out is none', async () => {
    const own = await openWorld({
      provider: world.provider,
      settings: { verify: 'userinfo', staleMs: 0 },
    });
    const token = world.provider.opaque('olga');
    expect(await status(token, own)).toBe(200);
    world.provider.instead.set('userinfo', (_req, res) => json(res, 503, {}));
    own.pass(61_000);
    expect(await status(token, own)).toBe(503);
    await own.close();
  });

  test('a token that was revoked meanwhile is not served from memory', async () => {
    const token = world.provider.opaque('olga');
    expect(await status(token)).toBe(200);
    world.pass(61_000);
    world.provider.revoke(token);
    expect(await status(token)).toBe(401);
    world.provider.instead.set('userinfo', (_req, res) => json(res, 503, {}));
    world.pass(6_000);
    expect(await status(token)).toBe(503);
    await settle();
  });
});
