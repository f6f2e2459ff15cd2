import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasRedis } from '../../support/redis.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { answered, hasEnded, messages, openReplicas, type Replicas, readyz } from './support/replicas.ts';
import { call, type World } from './support/world.ts';

const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });
const initialize = (protocolVersion: string) => ({
  jsonrpc: '2.0',
  id: `initialize ${protocolVersion}`,
  method: 'initialize',
  params: { protocolVersion },
});

describe.skipIf(!hasRedis)('two replicas', () => {
  let all: Replicas;
  let a: World;
  let b: World;
  beforeAll(async () => {
    all = await openReplicas(2, { pingMs: 200, livenessMs: 1_500 });
    [a, b] = all.worlds as [World, World];
  });
  afterAll(() => all.close());

  test('a POST to the one is answered on the stream of the other', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const answer = await all.post(b, stream, token, call('b'));
    expect([answer.status, answer.body]).toEqual([202, '']);
    expect(await answered(stream, 'b')).toMatchObject({ result: { structuredContent: { sub: 'alice' } } });
    expect((await all.post(a, stream, token, call('a'))).status).toBe(202);
    await answered(stream, 'a');
  });

  test('300 answers come in the order of their POSTs, each once', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const ids = Array.from({ length: 300 }, (_, i) => i);
    for (const id of ids) expect((await all.post(b, stream, token, ping(id))).status).toBe(202);
    await answered(stream, 299);
    expect(messages(stream).map(({ id }) => id)).toEqual(ids);
  });

  test(threat('R11', '40 users at once on two replicas, each with its own name'), async () => {
    const users = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const token = await all.token(`user-${i}`);
        return { sub: `user-${i}`, token, stream: await all.open(i % 2 ? a : b, token) };
      }),
    );
    await Promise.all(
      users.flatMap(({ token, stream }) =>
        [a, b].map((at, index) => all.post(at, stream, token, call(`call ${index}`))),
      ),
    );
    for (const { sub, stream } of users) {
      for (const id of ['call 0', 'call 1']) {
        expect(await answered(stream, id)).toMatchObject({ result: { structuredContent: { sub } } });
      }
      expect(messages(stream)).toHaveLength(2);
    }
  });

  test(
    threat('R10', "bob's token on alice's session: 404 on every replica, and nothing on her stream"),
    async () => {
      const [alice, bob] = await Promise.all([all.token('alice'), all.token('bob')]);
      const stream = await all.open(a, alice);
      for (const at of [a, b]) {
        const answer = await all.post(at, stream, bob, call('evil'));
        expect([answer.status, answer.json().error]).toEqual([404, 'session_not_found']);
      }
      await all.post(b, stream, alice, ping('after'));
      await answered(stream, 'after');
      expect(messages(stream)).toHaveLength(1);
      expect(stream.text()).not.toContain('bob');
      expect((await all.post(b, stream, await all.token('alice'), call('renewed'))).status).toBe(202);
      await answered(stream, 'renewed');
    },
  );

  test(threat('R12', 'guessed ids are 404; what is no id does not get as far as Redis'), async () => {
    const token = await all.token();
    await all.open(a, token);
    const ids = [...Array.from({ length: 120 }, () => randomUUID())];
    const odd = [
      '__proto__',
      'constructor',
      '',
      '*',
      'a b\r\nSET x y',
      'x'.repeat(10_000),
      '%00',
      '../inbox',
    ];
    for (const id of [...ids, ...odd]) {
      const endpoint = `/messages?sessionId=${encodeURIComponent(id)}`;
      expect([(await all.post(b, { endpoint }, token, call())).status, id]).toEqual([404, id]);
    }
    expect(await all.redis.ask('EXISTS', 'x')).toBe(0);
  });

  test('a revision that was settled on one replica counts on the other', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    const third = await all.add();
    await all.post(b, stream, token, initialize('2025-03-26'));
    await answered(stream, 'initialize 2025-03-26');
    expect((await all.post(third, stream, token, [ping('1'), ping('2')])).status).toBe(202);
    await answered(stream, '2');
    await all.post(b, stream, token, initialize('2025-06-18'));
    for (const at of [a, b, third]) expect((await all.post(at, stream, token, [ping('3')])).status).toBe(400);
  });

  test('a token renewed at the one keeps the stream at the other open', async () => {
    const soon = Math.floor(Date.now() / 1000) + 100;
    const claims = { aud: 'http://whoami.test/sse' };
    const token = await all.provider.jwt({ claims: { ...claims, exp: soon } });
    const [kept, ended] = [await all.open(a, token), await all.open(a, token)];
    const renewed = await all.provider.jwt({ claims: { ...claims, exp: soon + 3_600 } });
    await all.post(b, kept, renewed, ping('renewed'));
    await answered(kept, 'renewed');
    a.pass(170_000);
    await until('the end of the other', 5_000, () => hasEnded(ended));
    expect(hasEnded(kept)).toBe(false);
    a.pass(-170_000);
  });

  test(
    threat('R10', 'nothing in Redis tells who calls, with what, or how to post to a session'),
    async () => {
      const token = await all.token('eve-lin');
      const stream = await all.open(a, token);
      await all.post(b, stream, token, initialize('2025-03-26'));
      const seen: string[] = [];
      for (let i = 0; i < 20; i++) {
        await all.post(b, stream, token, call(`secret-id-${i}`));
        seen.push(await all.redis.dump());
      }
      const text = seen.join('\n');
      // What crosses has been looked at on its way.
      expect(text).toContain('"answer"');
      const id = stream.endpoint.split('=')[1] ?? 'none';
      const claims = ['eve-lin', 'User', 'example.com', all.provider.issuer, 'test-client', 'secret-id'];
      for (const secret of [token, token.split('.')[2] ?? '', id, ...claims]) {
        expect(text).not.toContain(secret);
        expect(text).not.toContain(Buffer.from(secret).toString('base64').slice(0, -3));
      }
    },
  );

  test('every key is ours, versioned, and ends by itself', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    await all.post(b, stream, token, call());
    const keys = (await all.redis.ask('KEYS', '*')) as string[];
    const kinds = new Set(keys.map((key) => /^mcp-whoami:1:(\w+):/.exec(key)?.[1]));
    expect([...kinds].sort()).toEqual(['inbox', 'replica', 'session', 'user']);
    for (const key of keys) expect(Number(await all.redis.ask('TTL', key))).toBeGreaterThanOrEqual(0);
  });

  test('what has been taken in leaves Redis', async () => {
    const token = await all.token();
    const stream = await all.open(a, token);
    for (let i = 0; i < 50; i++) await all.post(b, stream, token, ping(i));
    const lengths = async () => {
      const inboxes = (await all.redis.ask('KEYS', '*:inbox:*')) as string[];
      return Promise.all(inboxes.map((key) => all.redis.ask('XLEN', key) as Promise<number>));
    };
    await until('empty inboxes', 5_000, async () => (await lengths()).every((length) => length < 5));
  });

  test(threat('R11', 'the entry of a stranger to the session is not believed'), async () => {
    const [alice, bob] = await Promise.all([all.token('alice'), all.token('bob')]);
    const [hers, his] = [await all.open(a, alice), await all.open(a, bob)];
    await all.post(b, his, bob, call('his'));
    const inbox = ((await all.redis.ask('KEYS', '*:inbox:*')) as string[]).map(async (key) => {
      const entries = (await all.redis.ask('XRANGE', key, '-', '+')) as [string, string[]][];
      return entries.map(([, fields]) => ({ key, fields }));
    });
    const found = (await Promise.all(inbox)).flat().find(({ fields }) => fields.includes('answer'));
    const marks = (await all.redis.ask('KEYS', '*:session:*')) as string[];
    // His answer, sent once more to every session there is, and as it stands under another number.
    for (const key of marks) {
      const forged = new Map([
        ['f', 'forger'],
        ['p', '0'],
        ['n', String(marks.indexOf(key) + 1)],
      ]);
      const fields = (found?.fields ?? []).map((text, index, whole) => {
        const name = whole[index - 1] ?? '';
        if (index % 2 === 0) return text;
        return name === 's' ? (key.split(':').at(-1) ?? '') : (forged.get(name) ?? text);
      });
      await all.redis.ask('XADD', found?.key ?? '', '*', ...fields);
    }
    await until('a word about it', 5_000, () => a.log().includes('cannot be read'));
    await all.post(b, hers, alice, ping('after'));
    await answered(hers, 'after');
    await answered(his, 'his');
    expect([messages(hers).length, messages(his).length]).toEqual([1, 1]);
  });

  test(
    threat('R18', '51 streams of one user on two replicas: the oldest makes room, wherever it is'),
    async () => {
      const token = await all.token('many');
      const streams = [];
      for (let i = 0; i < 51; i++) streams.push(await all.open(i % 2 ? a : b, token));
      const [first, ...others] = streams;
      await until('the end of the first', 5_000, () => first && hasEnded(first));
      expect(others.filter(hasEnded)).toEqual([]);
    },
  );

  test('readyz names Redis; a stream that ends leaves nothing behind', async () => {
    expect(await readyz(a)).toMatchObject({ status: 'ok', redis: 'connected' });
    const before = ((await all.redis.ask('KEYS', '*:session:*')) as string[]).length;
    const stream = await all.open(a, await all.token());
    expect(((await all.redis.ask('KEYS', '*:session:*')) as string[]).length).toBe(before + 1);
    stream.close();
    const keys = async () => ((await all.redis.ask('KEYS', '*:session:*')) as string[]).length;
    await until('its end in Redis', 5_000, async () => (await keys()) <= before);
  });
});
