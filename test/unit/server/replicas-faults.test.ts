import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { hasRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';
import { answered, hasEnded, messages, openReplicas, type Replicas, readyz } from './support/replicas.ts';
import { call, openWorld, type World } from './support/world.ts';

const livenessMs = 900;
const known = async (all: Replicas) => ((await all.redis.ask('KEYS', '*:session:*')) as string[]).length;

describe.skipIf(!hasRedis)('what breaks', () => {
  let all: Replicas;
  let a: World;
  let b: World;
  beforeEach(async () => {
    all = await openReplicas(2, { pingMs: 100, livenessMs });
    [a, b] = all.worlds as [World, World];
  });
  afterEach(() => all.close());

  const degraded = () =>
    until('both without Redis', 5_000, async () => {
      const states = await Promise.all([a, b].map(readyz));
      return states.every(({ status, redis }) => status === 'ok' && redis === 'degraded');
    });
  /** Posts until it is taken; every other answer must be a 503 that says when to come back. */
  const insist = (at: World, stream: { endpoint: string }, token: string, message: unknown) =>
    until('202', 10_000, async () => {
      const { status, headers } = await all.post(at, stream, token, message);
      expect(status === 202 || (status === 503 && headers['retry-after'] === '1')).toBe(true);
      return status === 202;
    });

  test('Redis is killed: streams stay, the owner answers, others run nothing and say so; all comes back', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    await all.redis.kill();
    await degraded();
    expect((await all.post(a, stream, token, call('own'))).status).toBe(202);
    await answered(stream, 'own');
    const refused = await all.post(b, stream, token, call('refused'));
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    expect(refused.json()).toMatchObject({ error: { code: -32603 } });
    const late = await all.open(b, token);
    await all.redis.start();
    await insist(b, stream, token, call('back'));
    await insist(a, late, token, call('opened meanwhile'));
    await answered(stream, 'back');
    await answered(late, 'opened meanwhile');
    expect([messages(stream).length, messages(late).length, hasEnded(stream)]).toEqual([2, 1, false]);
    await until('both with Redis', 5_000, async () =>
      (await Promise.all([a, b].map(readyz))).every(({ redis }) => redis === 'connected'),
    );
  });

  test('an answer that was appended and lost with Redis is appended again, and given out once', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 40 }, (_, i) => `${round} ${i}`);
      const posts = ids.map((id) => all.post(b, stream, token, call(id)));
      await Promise.race(posts);
      await all.redis.kill();
      const statuses = (await Promise.all(posts)).map(({ status }) => status);
      await all.redis.start();
      const taken = ids.filter((_, index) => statuses[index] === 202);
      expect(taken.length).toBeGreaterThan(0);
      for (const id of taken) await answered(stream, id);
      await insist(b, stream, token, call(`end of ${round}`));
      await answered(stream, `end of ${round}`);
    }
    const ids = messages(stream).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('all connections cut, again and again: nothing is lost, nothing comes twice', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const taken: string[] = [];
    for (let i = 0; i < 200; i++) {
      if (i % 20 === 10) await all.redis.ask('CLIENT', 'KILL', 'TYPE', 'normal');
      const { status } = await all.post(b, stream, token, call(`call ${i}`));
      if (status === 202) taken.push(`call ${i}`);
      else await insist(b, stream, token, { jsonrpc: '2.0', method: 'notifications/nothing' });
    }
    for (const id of taken) await answered(stream, id);
    expect(messages(stream).map(({ id }) => id)).toEqual(taken);
    expect(taken.length).toBeGreaterThan(150);
  });

  test('Redis is emptied: owners write their streams again', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const missing = { endpoint: '/messages?sessionId=00000000-0000-4000-8000-000000000000' };
    expect((await all.post(b, missing, token, call())).status).toBe(404);
    await all.redis.ask('FLUSHALL');
    await until('the word that streams are being written', 5_000, async () => {
      return (await all.redis.ask('EXISTS', 'mcp-whoami:1:restoring')) === 1;
    });
    // It may be one of those.
    await all.redis.ask('PERSIST', 'mcp-whoami:1:restoring');
    expect((await all.post(b, missing, token, call())).status).toBe(503);
    await all.redis.ask('DEL', 'mcp-whoami:1:restoring');
    expect((await all.post(b, missing, token, call())).status).toBe(404);
    await until('the stream in Redis', 5_000, async () => (await known(all)) === 1);
    await insist(b, stream, token, call('after'));
    await answered(stream, 'after');
  });

  test('Redis stands still: 503 within the time, and all goes on when it moves', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    all.redis.freeze();
    expect((await all.post(b, stream, token, call('frozen'))).status).toBe(503);
    expect((await all.post(a, stream, token, call('own'))).status).toBe(202);
    await answered(stream, 'own');
    all.redis.thaw();
    await insist(b, stream, token, call('thawed'));
    await answered(stream, 'thawed');
  });

  test('a stream that opens while Redis stands still is found by the others as soon as it moves', async () => {
    const token = await all.token();
    // One command is late already: what follows is not even sent.
    all.redis.freeze();
    const first = all.open(a, token);
    await until('a late command', 5_000, async () => (await readyz(a)).redis === 'degraded');
    const second = all.open(a, token);
    all.redis.thaw();
    for (const stream of await Promise.all([first, second])) {
      expect((await all.post(b, stream, token, call('at once'))).status).toBe(202);
      await answered(stream, 'at once');
    }
  });

  test('Redis takes no more writes: 503 before anything runs, and what ran before arrives', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    await all.redis.ask('CONFIG', 'SET', 'maxmemory', '1');
    const statuses = new Set<number>();
    await until('503', 5_000, async () => {
      const { status } = await all.post(b, stream, token, call(`full ${statuses.size}`));
      statuses.add(status);
      return status === 503;
    });
    await all.redis.ask('CONFIG', 'SET', 'maxmemory', '0');
    await insist(b, stream, token, call('room'));
    await answered(stream, 'room');
    if (statuses.has(202)) await answered(stream, 'full 0');
  });

  test('a replica that is gone without a word: its sessions are 404 within the liveness time', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const replicas = (await all.redis.ask('KEYS', '*:replica:*')) as string[];
    const session = ((await all.redis.ask('KEYS', '*:session:*')) as string[])[0] ?? '';
    const [owner] = String(await all.redis.ask('GET', session)).split(' ');
    expect(replicas.some((key) => key.endsWith(`:${owner}`))).toBe(true);
    // As `kill -9` leaves it: a record of a replica that says nothing more.
    await all.redis.ask('SET', session, `${'x'.repeat(12)} ${await binding(all, session)}`, 'KEEPTTL');
    expect((await all.post(b, stream, token, call())).status).toBe(404);
    await until('its end in Redis', 5_000, async () => (await all.redis.ask('EXISTS', session)) === 0);
  });

  // A command to Redis has half a second: on a starved machine an answer may come too late for the stream's end.
  test('a replica that drains hands over: others find nothing of it, and what is on its way arrives', {
    retry: 2,
  }, async () => {
    const token = await all.token();
    const streams = await Promise.all(Array.from({ length: 20 }, () => all.open(a, token)));
    const posts = streams.map((stream) => all.post(b, stream, token, call('last')));
    const statuses = (await Promise.all(posts)).map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([202]));
    await a.server.drain();
    for (const stream of streams) {
      expect(hasEnded(stream)).toBe(true);
      await answered(stream, 'last');
      expect((await all.post(b, stream, token, call('late'))).status).toBe(404);
    }
    const replicas = (await all.redis.ask('KEYS', '*:replica:*')) as string[];
    const inboxes = (await all.redis.ask('KEYS', '*:inbox:*')) as string[];
    expect([await known(all), replicas.length, inboxes.length]).toEqual([0, 1, 1]);
  });

  test('started while Redis is away, it serves its own streams, and shares them later', async () => {
    await all.redis.kill();
    await degraded();
    const token = await all.token();
    const stream = await all.open(a, token);
    await all.post(a, stream, token, call('alone'));
    await answered(stream, 'alone');
    await all.redis.start();
    await insist(b, stream, token, call('shared'));
    await answered(stream, 'shared');
  });
});

test.skipIf(!hasRedis)(
  'a Redis user of our own needs few rights; a wrong password is told, and not repeated',
  async () => {
    const all = await openReplicas(1);
    const commands = 'get set del exists expire xadd xread xtrim zadd zcard zrange zrem'.split(' ');
    const rights = ['~mcp-whoami:*', ...commands.map((name) => `+${name}`)];
    await all.redis.ask('ACL', 'SETUSER', 'whoami', 'on', '>hunter2', ...rights);
    const as = (password: string) => new Secret(`redis://whoami:${password}@127.0.0.1:${all.redis.port}/0`);
    const a = await all.add({ settings: { redis: as('hunter2') } });
    const b = await all.add({ settings: { redis: as('hunter2') } });
    const token = await all.token();
    const stream = await all.open(a, token);
    await all.post(b, stream, token, call('limited'));
    await answered(stream, 'limited');
    stream.close();
    await until('its end in Redis', 5_000, async () => (await known(all)) === 0);
    const wrong = await openWorld({ provider: all.provider, settings: { redis: as('hunter3') } });
    await until('the refusal', 5_000, () => /Redis is away.*WRONGPASS/.test(wrong.log()));
    expect(await readyz(wrong)).toMatchObject({ status: 'ok', redis: 'degraded' });
    expect(wrong.log() + a.log() + b.log()).not.toMatch(/hunter[23]/);
    await wrong.close();
    await all.close();
  },
);

const binding = async (all: Replicas, session: string) =>
  String(await all.redis.ask('GET', session)).split(' ')[1];
