import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { json } from './support/provider.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const challengeOf = async (headers: Record<string, string>, path = '/sse') => {
  const answer = await world.send('GET', path, headers);
  return { answer, challenge: answer.headers['www-authenticate'] ?? '' };
};
const known = (resource: string) =>
  `resource_metadata="${world.origin}/.well-known/oauth-protected-resource${resource}", scope="openid profile email"`;

describe('without a token', () => {
  test.each([
    ['/sse', '/sse'],
    ['/messages', '/sse'],
    ['/mcp', '/mcp'],
  ])('%s: 401 that names the metadata of %s and the scopes, and no error', async (path, resource) => {
    const { answer, challenge } = await challengeOf({}, path);
    expect(answer.status).toBe(401);
    expect(challenge).toBe(`Bearer ${known(resource)}`);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.json()).toEqual({ error: 'unauthorized', error_description: 'An access token is needed' });
  });

  test('another scheme counts as none', async () => {
    for (const authorization of ['Basic YTpi', 'Bearerx abc', 'DPoP abc', 'token abc', '']) {
      const { answer, challenge } = await challengeOf({ authorization });
      expect(answer.status).toBe(401);
      expect(challenge).toBe(`Bearer ${known('/sse')}`);
    }
  });

  test(threat('R7', 'a token in the query alone is never read'), async () => {
    const token = await world.token();
    const asked = world.provider.counts.userinfo;
    const { answer, challenge } = await challengeOf({}, `/sse?access_token=${token}`);
    expect(answer.status).toBe(401);
    expect(challenge).toBe(`Bearer ${known('/sse')}`);
    expect(world.provider.counts.userinfo).toBe(asked);
  });

  test('a challenge goes by the name that the client used', async () => {
    const { challenge } = await challengeOf({ Host: `localhost:${world.server.port}` });
    expect(challenge).toContain(
      `"http://localhost:${world.server.port}/.well-known/oauth-protected-resource/sse"`,
    );
  });
});

describe('with odd credentials', () => {
  test.each([
    ['nothing after the scheme', 'Bearer'],
    ['a space in the token', 'Bearer abc def'],
    ['two tokens in one header', 'Bearer abc, Bearer def'],
    ['a quote', 'Bearer a"b'],
    ['padding in the middle', 'Bearer a=b'],
    ['a letter beyond ASCII', 'Bearer caf\u00e9'],
    ['more than 8 KiB', `Bearer ${'a'.repeat(8 * 1024 + 1)}`],
  ])(threat('R7', '%s: 401 invalid_token, and nobody is asked'), async (_what, authorization) => {
    const asked = { ...world.provider.counts };
    const { answer, challenge } = await challengeOf({ authorization });
    expect(answer.status).toBe(401);
    expect(challenge).toMatch(
      /^Bearer error="invalid_token", error_description="[\w ]+", resource_metadata=/,
    );
    expect(world.provider.counts).toEqual(asked);
  });

  test(threat('R7', 'two headers, or a header and a query: 400 invalid_request'), async () => {
    const token = await world.token();
    const twice = await world.send('GET', '/sse', [
      ['Authorization', `Bearer ${token}`],
      ['authorization', 'Bearer other'],
    ]);
    expect(twice.status).toBe(400);
    expect(twice.json().error).toBe('invalid_request');
    const both = await world.send('GET', '/sse?access_token=x', { authorization: `Bearer ${token}` });
    expect(both.status).toBe(400);
    expect(both.headers['www-authenticate']).toMatch(/^Bearer error="invalid_request"/);
  });

  test('the scheme may be written in any case', async () => {
    const token = await world.token();
    for (const scheme of ['bearer', 'BEARER', 'Bearer ']) {
      const answer = await world.rpc(undefined, call(), { authorization: `${scheme} ${token}` });
      expect(answer.status).toBe(200);
    }
  });

  test(threat('R21', 'a refusal repeats nothing of the token, nor does the log'), async () => {
    const secret = 'very-secret-value-0123456789';
    const { answer } = await challengeOf({ authorization: `Bearer ${secret}` });
    expect(answer.status).toBe(401);
    const good = await world.token('logged');
    await world.rpc(good, call());
    const everything = JSON.stringify(answer.headers) + answer.body + world.log();
    expect(everything).not.toContain(secret);
    expect(world.log()).not.toContain(good);
    expect(world.log()).not.toContain(good.slice(-20));
  });
});

describe('scopes', () => {
  const withScope = (scope: unknown, name = 'scope') =>
    world.provider.jwt({ claims: { aud: `${world.origin}/mcp`, scope: undefined, [name]: scope } });

  test(
    threat('R6', 'a token without a required scope is 403 that names what is required, and nothing more'),
    async () => {
      const answer = await world.rpc(await withScope('openid email'), call());
      expect(answer.status).toBe(403);
      expect(answer.headers['www-authenticate']).toBe(
        `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", resource_metadata="${world.origin}/.well-known/oauth-protected-resource/mcp", scope="openid profile"`,
      );
      expect(world.log()).toContain('--required-scope');
    },
  );

  test(threat('R6', 'no scope at all: 403'), async () => {
    expect((await world.rpc(await withScope(undefined), call())).status).toBe(403);
    expect((await world.rpc(await withScope('openidprofile'), call())).status).toBe(403);
  });

  test.each([
    ['scp', 'openid profile'],
    ['scp', ['openid', 'profile']],
    ['scopes', ['profile', 'openid']],
  ])('scopes are found in %s as %j', async (name, value) => {
    expect((await world.rpc(await withScope(value, name), call())).status).toBe(200);
  });

  test('under userinfo scopes cannot be known and are not asked for', async () => {
    expect((await world.rpc(world.provider.opaque('olga'), call())).status).toBe(200);
  });

  test('--required-scope decides alone what is asked for and needed; none: nothing', async () => {
    const strict = await openWorld({
      provider: world.provider,
      settings: { requiredScope: ['read:me'] },
    });
    const open = await openWorld({ provider: world.provider, settings: { requiredScope: [] } });
    try {
      const challenge = (await strict.send('GET', '/sse')).headers['www-authenticate'];
      expect(challenge).toMatch(/, scope="read:me"$/);
      const mint = (at: World, scope: string) =>
        world.provider.jwt({ claims: { aud: `${at.origin}/mcp`, scope } });
      expect((await strict.rpc(await mint(strict, 'openid profile'), call())).status).toBe(403);
      expect((await strict.rpc(await mint(strict, 'read:me'), call())).status).toBe(200);
      // Userinfo cannot confirm a scope that was asked for by name.
      expect((await strict.rpc(world.provider.opaque('olga'), call())).status).toBe(401);
      expect((await open.send('GET', '/sse')).headers['www-authenticate']).not.toContain('scope=');
      expect((await open.rpc(await mint(open, ''), call())).status).toBe(200);
    } finally {
      await strict.close();
      await open.close();
    }
  });
});

describe('too many bad tokens from one address', () => {
  test('after a burst of 100 the answer is 429; good tokens pass all the while; it recovers', async () => {
    const own = await openWorld();
    try {
      const good = await own.token();
      expect((await own.rpc(good, call())).status).toBe(200);
      const bad = (i: number) => own.send('GET', '/sse', { authorization: `Bearer a"${i}` });
      // A slow machine gives the address some of its burst back meanwhile.
      let limited = await bad(0);
      let asked = 1;
      for (; asked < 1_000 && limited.status !== 429; asked++) limited = await bad(asked);
      expect(asked).toBeGreaterThanOrEqual(101);
      expect(limited.status).toBe(429);
      expect(limited.headers['retry-after']).toBe('1');
      expect(limited.headers).not.toHaveProperty('www-authenticate');
      expect((await own.rpc(good, call())).status).toBe(200);
      expect((await own.rpc(await own.token('new'), call())).status).toBe(200);
      own.pass(10_000);
      expect((await bad(0)).status).toBe(401);
    } finally {
      await own.close();
    }
  });
});

describe('while the provider fails', () => {
  test('a new opaque token is 503 with Retry-After and without a challenge; JSON-RPC for a POST', async () => {
    world.provider.instead.set('userinfo', (_req, res) => json(res, 503, {}));
    try {
      const token = world.provider.opaque('new');
      const get = await world.send('GET', '/sse', { authorization: `Bearer ${token}` });
      expect(get.status).toBe(503);
      expect(Number(get.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(get.headers).not.toHaveProperty('www-authenticate');
      expect(get.json().error).toBe('temporarily_unavailable');
      const post = await world.rpc(token, call(7));
      expect(post.status).toBe(503);
      expect(post.json()).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32603 } });
    } finally {
      world.provider.instead.clear();
    }
  });
});
