import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
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

describe('remembering', () => {
  test('50 calls at once with a new token ask once', async () => {
    const token = world.provider.opaque('olga');
    const before = questions();
    const seen = await Promise.all(Array.from({ length: 50 }, () => status(token)));
    expect(new Set(seen)).toEqual(new Set([200]));
    expect(questions() - before).toBe(1);
  });

  test(threat('R9', 'a verdict lasts 60 s; a revoked token is found out then'), async () => {
    const token = world.provider.opaque('olga');
    expect(await status(token)).toBe(200);
    world.provider.revoke(token);
    world.pass(59_000);
    expect(await status(token)).toBe(200);
    world.pass(2_000);
    expect(await status(token)).toBe(401);
  });

  test(
    threat('R9', 'one bad token, 40 times at once and 10 more: one question; again after 5 s'),
    async () => {
      const before = questions();
      const seen = await Promise.all(Array.from({ length: 40 }, () => status('bad-token')));
      for (let i = 0; i < 10; i++) seen.push(await status('bad-token'));
      expect(new Set(seen)).toEqual(new Set([401]));
      expect(questions() - before).toBe(1);
      world.pass(6_000);
      await status('bad-token');
      expect(questions() - before).toBe(2);
    },
  );

  test(threat('R9', 'neighbours do not share a verdict'), async () => {
    const token = world.provider.opaque('olga');
    expect(await status(token)).toBe(200);
    for (const other of [`${token}x`, token.slice(0, -1), token.toUpperCase()]) {
      expect(await status(other)).toBe(401);
    }
  });
});

describe('what the provider says about the token', () => {
  test.each([
    [401, 401],
    [400, 401],
    [403, 403],
    [429, 503],
    [500, 503],
    [503, 503],
    [404, 503],
    [204, 503],
  ])(threat('R8', '%d becomes %d'), async (theirs, ours) => {
    world.provider.instead.set('userinfo', (_req, res) => json(res, theirs, {}));
    expect(await status(world.provider.opaque('olga'))).toBe(ours);
    await settle();
  });

  test.each([
    ['no sub', '{"name":"x"}'],
    ['an empty sub', '{"sub":""}'],
    ['a sub that is a number', '{"sub":7}'],
    ['a sub that is only inherited', '{"__proto__":{"sub":"admin"}}'],
    ['a list', '[{"sub":"a"}]'],
    ['a page', '<html>sub</html>'],
    ['nothing', ''],
    ['more than 256 KB', `{"sub":"a","x":"${'x'.repeat(300_000)}"}`],
    ['JSON without a floor', `{"sub":"a","x":${'['.repeat(100_000)}`],
  ])(threat('R8', '200 with %s is no identity: 503'), async (_what, body) => {
    world.provider.instead.set('userinfo', (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' }).end(body);
    });
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    await settle();
  });

  test(threat('R8', 'a redirect is not followed'), async () => {
    const before = world.provider.counts.other;
    world.provider.instead.set('userinfo', (_req, res) => {
      res.writeHead(302, { location: `${world.provider.origin}/elsewhere` }).end();
    });
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    expect(world.provider.counts.other).toBe(before);
    await settle();
  });

  test(threat('R8', 'a connection that is cut, or an answer that has no end, is no verdict'), async () => {
    world.provider.instead.set('userinfo', (req) => req.socket.destroy());
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    world.provider.instead.set('userinfo', (_req, res) => {
      const more = () => res.write('x'.repeat(65_536), () => res.destroyed || setImmediate(more));
      more();
    });
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    await settle();
  });

  test(threat('R8', 'silence ends after 3 s'), async () => {
    world.provider.instead.set('userinfo', () => {});
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    expect(world.log()).toContain('did not answer within 3 s');
    await settle();
  });
});

describe('JWTs shown to userinfo', () => {
  test(threat('R8', 'the subjects must be the same'), async () => {
    const token = await world.provider.jwt({ sub: 'alice' });
    world.provider.instead.set('userinfo', (_req, res) => json(res, 200, { sub: 'bob' }));
    expect(await status(token)).toBe(401);
    world.provider.instead.clear();
    expect(await status(await world.provider.jwt({ sub: 'alice' }))).toBe(200);
  });

  test(
    threat(
      ['R19', 'R23'],
      'one of another issuer, one that has run out, one bound to a key: refused without asking',
    ),
    async () => {
      const before = questions();
      expect(await status(await world.provider.jwt({ claims: { iss: 'https://other.example' } }))).toBe(401);
      expect(await status(await world.provider.jwt({ claims: { exp: 1_000_000_000 } }))).toBe(401);
      expect(await status(await world.provider.jwt({ claims: { cnf: { jkt: 'x' } } }))).toBe(401);
      expect(questions()).toBe(before);
    },
  );

  test(threat('R9', 'a kept verdict ends with the token'), async () => {
    const exp = Math.floor(Date.now() / 1000) + 40_000;
    const own = await openWorld({ provider: world.provider, settings: { verify: 'userinfo' } });
    const token = await world.provider.jwt({ claims: { exp } });
    own.pass(39_990_000);
    expect(await status(token, own)).toBe(200);
    own.pass(45_000);
    const before = questions();
    expect(await status(token, own)).toBe(401);
    expect(questions()).toBe(before);
    await own.close();
  });
});

describe('signed answers (application/jwt)', () => {
  const answerWith = (body: string) =>
    world.provider.instead.set('userinfo', (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/jwt; charset=utf-8' }).end(body);
    });

  test('are verified by the published keys', async () => {
    answerWith(await world.provider.jwt({ sub: 'signe', header: { typ: 'JWT' } }));
    const answer = await world.rpc(world.provider.opaque('signe'), call());
    const { result } = answer.json() as { result: { structuredContent: Record<string, unknown> } };
    expect(result.structuredContent).toMatchObject({ sub: 'signe', iss: world.provider.issuer });
    expect(result.structuredContent).not.toHaveProperty('exp');
  });

  test(threat('R8', 'of a stranger, or of another issuer, are no identity'), async () => {
    const { makeKey } = await import('./support/provider.ts');
    answerWith(await world.provider.jwt({ key: await makeKey('first') }));
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    answerWith(await world.provider.jwt({ claims: { iss: 'https://other.example' } }));
    expect(await status(world.provider.opaque('olga'))).toBe(503);
    await settle();
  });
});

test(threat('R8', 'the server says that userinfo tells no audience'), async () => {
  expect(world.verification()).toBe(
    `userinfo ${world.provider.issuer}/me, audience: not checked (--verify userinfo)`,
  );
  expect((await world.send('GET', '/readyz')).json()).toMatchObject({
    issuers: [{ audience: 'not checked', keys: 'not used' }],
  });
  expect(world.log()).toContain('does not tell whom they are for');
});
