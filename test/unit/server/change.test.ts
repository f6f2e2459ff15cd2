import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { difference } from '../../../src/server/change.ts';
import { openTestProvider } from './support/provider.ts';
import { openStream } from './support/raw.ts';
import { call, defaultRules, defaults, openWorld, type World } from './support/world.ts';

/** The settings of a world with its one provider, and other rules. */
const settingsOf = (world: World, rules = {}, more = {}) => ({
  ...defaults,
  ...more,
  issuers: [{ ...defaultRules, ...rules, issuer: world.provider.issuer }],
});

describe('settings that change while the server runs', () => {
  test('rules are in force at once, for tokens that were let in before too, and nobody is asked', async () => {
    const world = await openWorld();
    const token = await world.token();
    expect((await world.rpc(token, call())).status).toBe(200);
    const before = { ...world.provider.counts };
    world.server.change(settingsOf(world, { allow: [{ claim: 'sub', values: ['bob'] }] }));
    expect((await world.rpc(token, call())).status).toBe(403);
    expect((await world.rpc(await world.token('bob'), call())).status).toBe(200);
    world.server.change(settingsOf(world, { requiredScope: ['admin'] }));
    const answer = await world.rpc(token, call());
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([
      403,
      expect.stringContaining('scope="admin"'),
    ]);
    world.server.change(settingsOf(world, { audience: 'https://other.example' }));
    expect((await world.rpc(token, call())).status).toBe(401);
    world.server.change(settingsOf(world, {}, { claims: ['email'] }));
    const { result } = (await world.rpc(token, call())).json() as { result: { structuredContent: object } };
    expect(Object.keys(result.structuredContent).sort()).toEqual(['email', 'iss', 'sub']);
    expect(world.provider.counts).toEqual(before);
    await world.close();
  });

  test('while the authorization server is away the new rules hold all the same', async () => {
    const world = await openWorld();
    const token = await world.token();
    world.provider.instead.set('all', (_req, res) => void res.writeHead(503).end());
    world.server.change(settingsOf(world, { allow: [{ claim: 'sub', values: ['bob'] }] }));
    expect((await world.rpc(token, call())).status).toBe(403);
    expect((await world.rpc(await world.token('bob'), call())).status).toBe(200);
    await world.close();
  });

  test('another way of verification, with keys that were not needed before', async () => {
    const world = await openWorld({ settings: { verify: 'userinfo' } });
    const [jwt, opaque] = [await world.token(), world.provider.opaque('alice')];
    expect((await world.rpc(opaque, call())).status).toBe(200);
    world.server.change(settingsOf(world, { verify: 'jwt' }));
    expect((await world.rpc(opaque, call())).status).toBe(401);
    expect((await world.rpc(jwt, call())).status).toBe(200);
    await world.close();
  });

  test('an issuer comes, and one goes: its users are not let in any more', async () => {
    const world = await openWorld();
    const other = await openTestProvider();
    const [old, token] = [await world.token(), await other.jwt({ claims: { aud: `${world.origin}/mcp` } })];
    expect((await world.rpc(token, call())).status).toBe(401);
    world.server.change({ ...defaults, issuers: [{ ...defaultRules, issuer: other.issuer }] });
    await expect.poll(async () => (await world.rpc(token, call())).status).toBe(200);
    expect((await world.rpc(old, call())).status).toBe(401);
    const document = await world.send('GET', '/.well-known/oauth-protected-resource');
    expect(document.json().authorization_servers).toEqual([other.issuer]);
    const page = await world.send('GET', '/', { Accept: 'text/html' });
    expect(page.body).toContain(other.issuer);
    expect(page.body).not.toContain(world.provider.issuer);
    await Promise.all([world.close(), other.close()]);
  });

  test('rules by which nothing can be verified change nothing', async () => {
    const world = await openWorld();
    const token = await world.token();
    const unfit = settingsOf(world, { verify: 'introspection' }, { userRate: 1 });
    expect(() => world.server.change(unfit)).toThrow(/introspection/);
    for (let i = 0; i < 10; i++) expect((await world.rpc(token, call())).status).toBe(200);
    await world.close();
  });

  test('limits and origins', async () => {
    const world = await openWorld({ settings: { maxSessions: 1 } });
    const headers = { authorization: `Bearer ${await world.token()}` };
    const first = await openStream(world.server.port, headers);
    expect((await world.send('GET', '/sse', headers)).status).toBe(503);
    const page = { ...headers, Origin: 'https://app.example' };
    expect((await world.send('PUT', '/mcp', page)).status).toBe(403);
    world.server.change(settingsOf(world, {}, { maxSessions: 2, allowOrigin: ['https://app.example'] }));
    expect((await world.send('PUT', '/mcp', page)).status).toBe(405);
    const second = await openStream(world.server.port, headers);
    expect((await world.send('GET', '/sse', headers)).status).toBe(503);
    for (const stream of [first, second]) stream.close();
    await world.close();
  });
});

describe('what differs', () => {
  const secret = (text: string) => new Secret(text);
  test.each([
    ['nothing', {}, {}, [], []],
    ['limits', { maxSessions: 1 }, { maxSessions: 2 }, ['maxSessions'], []],
    ['an address', { port: 1 }, { port: 2 }, [], ['port']],
    ['lists are compared by what is in them', { allowOrigin: ['a'] }, { allowOrigin: ['a'] }, [], []],
    ['URLs', { publicUrl: new URL('https://a/') }, { publicUrl: new URL('https://b/') }, [], ['publicUrl']],
    ['secrets', { redis: secret('redis://a') }, { redis: secret('redis://b') }, [], ['redis']],
    [
      'another certificate',
      { tls: { cert: 'a', key: secret('a') } },
      { tls: { cert: 'a', key: secret('b') } },
      ['tls'],
      [],
    ],
    ['TLS at all', {}, { tls: { cert: 'a', key: secret('a') } }, [], ['tls']],
  ])('%s', (_what, before, after, now, later) => {
    expect(difference({ ...defaults, ...before }, { ...defaults, ...after })).toEqual({ now, later });
  });
});
