import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { openStream, type RawStream } from './support/raw.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
const streams: RawStream[] = [];
beforeAll(async () => {
  world = await openWorld({ pingMs: 50 });
});
afterAll(async () => {
  for (const stream of streams) stream.close();
  await world.close();
});

async function open(token: string, at = world, headers: Record<string, string> = {}): Promise<RawStream> {
  const stream = await openStream(at.server.port, { authorization: `Bearer ${token}`, ...headers });
  streams.push(stream);
  return stream;
}

const post = (
  stream: { endpoint: string },
  token: string,
  message: unknown,
  headers: Record<string, string> = {},
  at = world,
) =>
  at.send(
    'POST',
    stream.endpoint,
    { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    typeof message === 'string' ? message : JSON.stringify(message),
  );
const messages = (stream: RawStream) =>
  [...stream.text().matchAll(/event: message\ndata: (.*)\n\n/g)].map(
    ([, data]) => JSON.parse(data ?? '') as Record<string, unknown>,
  );
const answered = (stream: RawStream, id: unknown) =>
  until(`answer ${id}`, 5_000, () => messages(stream).find((message) => message.id === id));

describe('the stream', () => {
  test('opens with its endpoint, in headers that nobody buffers', async () => {
    const stream = await open(await world.token());
    expect(stream.endpoint).toMatch(/^\/messages\?sessionId=[0-9a-f-]{36}$/);
    const head = stream.head.toLowerCase();
    expect(head).toContain('http/1.1 200');
    expect(head).toContain('content-type: text/event-stream');
    expect(head).toContain('cache-control: no-cache, no-transform');
    expect(head).toContain('x-accel-buffering: no');
    expect(head).not.toContain('access-control');
    expect(head).not.toContain('content-encoding');
  });

  test('an admitted page may read it', async () => {
    const stream = await open(await world.token(), world, { Origin: 'http://localhost:6274' });
    expect(stream.head).toMatch(/access-control-allow-origin: http:\/\/localhost:6274/i);
    expect(stream.head).toMatch(/vary: origin/i);
  });

  test('carries signs of life', async () => {
    const stream = await open(await world.token());
    await until('three pings', 5_000, () => stream.text().split(': ping\n\n').length > 3);
  });
});

describe('messages', () => {
  test('202 first, then the answer on the stream', async () => {
    const token = await world.token();
    const stream = await open(token);
    const answer = await post(stream, token, call('c'));
    expect([answer.status, answer.body]).toEqual([202, '']);
    expect(await answered(stream, 'c')).toMatchObject({ result: { structuredContent: { sub: 'alice' } } });
  });

  test('what is no message is 400 and leaves the stream alone', async () => {
    const token = await world.token();
    const stream = await open(token);
    const broken = await post(stream, token, '{oops');
    expect([broken.status, broken.json()]).toMatchObject([400, { error: { code: -32700 } }]);
    expect((await post(stream, token, { id: 1 })).status).toBe(400);
    expect((await post(stream, token, `"${'x'.repeat(5_000_000)}"`)).status).toBe(413);
    expect((await post(stream, token, call(), { 'mcp-protocol-version': 'x' })).status).toBe(400);
    await post(stream, token, { jsonrpc: '2.0', id: 'last', method: 'ping' });
    await answered(stream, 'last');
    expect(messages(stream)).toHaveLength(1);
  });

  test('batches end with the revision that has none', async () => {
    const token = await world.token();
    const stream = await open(token);
    const initialize = (id: string, protocolVersion: string) => ({
      jsonrpc: '2.0',
      id,
      method: 'initialize',
      params: { protocolVersion },
    });
    await post(stream, token, initialize('old', '2025-03-26'));
    expect((await post(stream, token, [call('b1'), call('b2')])).status).toBe(202);
    await answered(stream, 'b1');
    await answered(stream, 'b2');
    await post(stream, token, initialize('new', '2025-06-18'));
    expect((await post(stream, token, [call('b3')])).status).toBe(400);
  });
});

describe('a session belongs to the user who opened it', () => {
  test(
    threat(['R10', 'L9'], "bob's token on alice's session, of one client: 404, and nothing on her stream"),
    async () => {
      const [alice, bob] = await Promise.all([world.token('alice'), world.token('bob')]);
      const stream = await open(alice);
      const before = messages(stream).length;
      const answer = await post(stream, bob, call('evil'));
      expect(answer.status).toBe(404);
      expect(answer.json().error).toBe('session_not_found');
      await post(stream, alice, { jsonrpc: '2.0', id: 'after', method: 'ping' });
      await answered(stream, 'after');
      expect(messages(stream)).toHaveLength(before + 1);
      expect(stream.text()).not.toContain('bob');
    },
  );

  test(
    threat('R10', 'the same subject at another issuer is somebody else; a new token of the same user is not'),
    async () => {
      const alice = await world.token('alice');
      const stream = await open(alice);
      const renewed = await world.token('alice');
      expect(renewed).not.toBe(alice);
      expect((await post(stream, renewed, call('renewed'))).status).toBe(202);
      await answered(stream, 'renewed');
      expect((await post(stream, world.provider.opaque('alice'), call('opaque'))).status).toBe(202);
      await answered(stream, 'opaque');
      const { createPrincipal } = await import('../../../src/server/verify/principal.ts');
      const user = (issuer: string, subject: string) =>
        createPrincipal({
          issuer,
          subject,
          clientId: undefined,
          scopes: [],
          expiresAt: undefined,
          claims: {},
        }).user;
      expect(user('https://a.example', 'x')).not.toBe(user('https://b.example', 'x'));
      expect(user('https://a.example","', 'x')).not.toBe(user('https://a.example', '","x'));
    },
  );

  test(
    threat('R10', 'without a token, or with a bad one, nobody learns whether a session exists'),
    async () => {
      const stream = await open(await world.token());
      for (const path of [stream.endpoint, '/messages?sessionId=nope', '/messages']) {
        expect((await world.send('POST', path)).status).toBe(401);
        expect((await world.send('POST', path, { authorization: 'Bearer nope' })).status).toBe(401);
      }
    },
  );

  test(threat('R12', 'guessed ids are 404'), async () => {
    const token = await world.token();
    const stream = await open(token);
    const real = stream.endpoint.split('=')[1] ?? '';
    const guesses = [
      '',
      '__proto__',
      'constructor',
      'toString',
      '../sse',
      real.toUpperCase(),
      `${real} `,
      real.slice(1),
    ];
    for (const guess of guesses) {
      const endpoint = `/messages?sessionId=${encodeURIComponent(guess)}`;
      expect([guess, (await post({ endpoint }, token, call())).status]).toEqual([guess, 404]);
    }
    expect((await post({ endpoint: '/messages' }, token, call())).status).toBe(404);
  });

  test('a closed stream takes its session with it', async () => {
    const token = await world.token();
    const stream = await open(token);
    expect((await post(stream, token, call('a'))).status).toBe(202);
    stream.close();
    await until('404', 5_000, async () => (await post(stream, token, call('b'))).status === 404);
  });
});

describe('the end of a stream', () => {
  test('60 s after the latest token seen has expired', async () => {
    const own = await openWorld({ pingMs: 50 });
    try {
      const exp = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;
      const mint = (seconds: number) =>
        own.provider.jwt({ claims: { aud: `${own.origin}/sse`, exp: exp(seconds) } });
      const [first, second] = await Promise.all([mint(100), mint(300)]);
      const [ended, renewed] = await Promise.all([open(first, own), open(first, own)]);
      expect((await post(renewed, second, call('x'), {}, own)).status).toBe(202);
      own.pass(140_000);
      expect((await post(ended, first, call('late'), {}, own)).status).toBe(401);
      expect(ended.closed()).toBe(false);
      own.pass(30_000);
      await until('the end', 5_000, () => ended.text().includes(': closing'));
      expect(renewed.text()).not.toContain(': closing');
      own.pass(200_000);
      await until('its end too', 5_000, () => renewed.text().includes(': closing'));
    } finally {
      await own.close();
    }
  });

  test(threat('R17', 'a client that does not read is cut off, and the others are not'), async () => {
    const own = await openWorld({ pingMs: 50 });
    try {
      const lazy = own.provider.opaque('lazy', { long: 'x'.repeat(200_000) });
      const stream = await open(lazy, own);
      const other = await open(await own.token(), own);
      stream.socket.pause();
      await until('the cut', 20_000, async () => {
        const { status } = await post(stream, lazy, call('x'), {}, own);
        return status === 404;
      });
      expect(own.log()).toContain('the client does not read');
      await until('a ping for the other', 5_000, () => other.text().includes(': ping'));
      expect(other.closed()).toBe(false);
    } finally {
      await own.close();
    }
  });

  test(
    threat('R18', 'beyond --max-sessions: 503 with Retry-After; a place that is given up can be taken'),
    async () => {
      const own = await openWorld({ settings: { maxSessions: 3 } });
      try {
        const token = await own.token();
        const opened = await Promise.all([open(token, own), open(token, own), open(token, own)]);
        const refused = await own.send('GET', '/sse', { authorization: `Bearer ${token}` });
        expect(refused.status).toBe(503);
        expect(refused.headers['retry-after']).toBe('5');
        opened[0]?.close();
        await until('a place', 5_000, () => open(token, own).catch(() => undefined));
      } finally {
        await own.close();
      }
    },
  );

  test(threat('R18', 'the 51st stream of a user ends the one that was idle longest'), async () => {
    const token = await world.token('collector');
    const first = await open(token);
    const second = await open(token);
    for (let i = 2; i < 50; i++) await open(token);
    world.pass(1);
    expect((await post(first, token, call('used'))).status).toBe(202);
    await open(token);
    await until('the end of the second', 5_000, () => second.text().includes(': closing'));
    expect((await post(first, token, call('still'))).status).toBe(202);
    expect((await post(second, token, call('gone'))).status).toBe(404);
  });
});
