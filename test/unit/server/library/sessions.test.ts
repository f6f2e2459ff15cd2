import { get, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { threat } from '../../../support/threats.ts';
import { until } from '../../../support/until.ts';
import { openStream } from '../support/raw.ts';
import { fetchGreeter, type Handed, sseGreeter, streamableGreeter } from './support/greeter.ts';
import { openProtected, type Protected, type ProtectedOptions } from './support/protected.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(
  behind: typeof streamableGreeter,
  options: ProtectedOptions = {},
): Promise<Protected & { readonly handed: Handed }> {
  const handed: Handed = [];
  const it = await openProtected({ ...options, behind: (gate) => behind(gate, handed) });
  ends.push(() => it.close());
  return { ...it, handed };
}

const message = (method: string, params: object = {}, id: number | undefined = 1) =>
  JSON.stringify({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), method, params });
const initialize = message('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
});
const greet = message('tools/call', { name: 'greet', arguments: {} }, 2);
const headersFor = (token: string, session?: string) => ({
  authorization: `Bearer ${token}`,
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  ...(session === undefined ? {} : { 'mcp-session-id': session }),
});

/** `fetch` has time limits of its own for a stream. */
function openGet({ port }: Protected, headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/mcp', headers }, (stream) => {
      ends.push(() => stream.destroy());
      stream.on('error', () => {}).resume();
      resolve(stream);
    });
    request.on('error', reject);
  });
}

describe.each([
  ['node:http', streamableGreeter],
  ['fetch', fetchGreeter],
])('Streamable HTTP with sessions, in front of %s', (_form, behind) => {
  async function openSession() {
    const it = await open(behind);
    const alice = await it.token('alice');
    const opened = await it.send('POST', '/mcp', headersFor(alice), initialize);
    expect(opened.status).toBe(200);
    return { it, alice, session: opened.headers['mcp-session-id'] ?? '' };
  }

  test(
    threat('R10', "behind the library bob's token on alice's session: 404, whatever the method"),
    async () => {
      const { it, alice, session } = await openSession();
      const bob = await it.token('bob');
      for (const [method, body] of [
        ['POST', greet],
        ['GET', ''],
        ['DELETE', ''],
      ] as const) {
        const answer = await it.send(method, '/mcp', headersFor(bob, session), body);
        expect([answer.status, answer.json().error]).toEqual([404, 'session_not_found']);
      }
      const hers = await it.send('POST', '/mcp', headersFor(alice, session), greet);
      expect(hers.body).toContain('Hello, alice!');
      expect(it.handed.length).toBe(1);
    },
  );

  test(threat('R10', 'behind the library the same subject at another issuer is somebody else'), async () => {
    const { it, session } = await openSession();
    const other = await openProtected();
    ends.push(() => other.close());
    const two = await open(behind, {
      provider: it.provider,
      gate: () => ({ issuer: [it.provider.issuer, { issuer: other.provider.issuer, verify: 'jwt' }] }),
    });
    const opened = await two.send('POST', '/mcp', headersFor(await two.token('alice')), initialize);
    const foreign = await other.provider.jwt({ sub: 'alice', claims: { aud: `${two.origin}/mcp` } });
    const used = headersFor(foreign, opened.headers['mcp-session-id']);
    expect((await two.send('POST', '/mcp', used, greet)).status).toBe(404);
    // A name of another server's session is none here.
    const stray = headersFor(await two.token('alice'), session);
    expect((await two.send('POST', '/mcp', stray, greet)).status).toBe(404);
  });

  test('a new token of the same user is as good, and a name that nobody was given is not', async () => {
    const { it, session } = await openSession();
    const renewed = await it.token('alice', { jti: 'another' });
    expect((await it.send('POST', '/mcp', headersFor(renewed, session), greet)).body).toContain('alice');
    for (const name of ['made-up', `${session}, ${session}`, '']) {
      expect((await it.send('POST', '/mcp', headersFor(renewed, name), greet)).status).toBe(404);
    }
  });

  test(threat('R19', 'behind the library no tool of the SDK is handed the token'), async () => {
    const { it, alice, session } = await openSession();
    await it.send('POST', '/mcp', headersFor(alice, session), greet);
    expect(it.handed[0]).toContain('"subject":"alice"');
    expect(it.handed[0]).toContain('mcp-session-id');
    expect(it.handed[0]).not.toContain(alice);
    expect(it.handed[0]).not.toContain('authorization');
  });
});

describe('a stream whose token has run out', () => {
  /** The clock goes by itself, and goes on by as many minutes as told. */
  const pass = (minutes: number) => vi.advanceTimersByTime(minutes * 60_000);
  const startClock = () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], shouldAdvanceTime: true });
    ends.push(() => vi.useRealTimers());
  };

  test.each([
    ['node:http', streamableGreeter],
    ['fetch', fetchGreeter],
  ])('is ended a minute later, and not while the session has a newer one; %s', async (_form, behind) => {
    startClock();
    const it = await open(behind);
    const opened = await it.send('POST', '/mcp', headersFor(await it.token()), initialize);
    const session = opened.headers['mcp-session-id'] ?? '';
    const stream = await openGet(it, headersFor(await it.token(), session));
    expect(stream.statusCode).toBe(200);
    pass(30);
    expect((await it.send('POST', '/mcp', headersFor(await it.token(), session), greet)).status).toBe(200);
    pass(35);
    // The first token has run out; the second one is good for as long again.
    expect((await it.send('POST', '/mcp', headersFor(await it.token('bob')), initialize)).status).toBe(200);
    expect(stream.destroyed).toBe(false);
    pass(30);
    await until('the end of the stream', 5_000, () => stream.destroyed);
  });

  test('HTTP+SSE', async () => {
    startClock();
    const it = await open(sseGreeter);
    const stream = await openStream(it.port, { authorization: `Bearer ${await it.token()}` });
    ends.push(() => stream.close());
    pass(59);
    expect((await it.send('POST', stream.endpoint, headersFor(await it.token()), greet)).status).toBe(202);
    pass(3);
    await it.send('GET', '/.well-known/oauth-protected-resource/mcp');
    expect(stream.closed()).toBe(false);
    pass(59);
    await until('the end of the stream', 5_000, () => stream.closed());
  });
});

describe('HTTP+SSE', () => {
  async function openAlice(options: ProtectedOptions = {}) {
    const it = await open(sseGreeter, {
      gate: (origin) => ({ resource: `${origin}/sse`, ...options.gate?.(origin) }),
    });
    const claims = { aud: `${it.origin}/sse` };
    const [alice, bob] = [await it.token('alice', claims), await it.token('bob', claims)];
    const stream = await openStream(it.port, { authorization: `Bearer ${alice}` });
    ends.push(() => stream.close());
    return { it, alice, bob, stream, id: stream.endpoint.split('sessionId=')[1] ?? '' };
  }

  test(threat('R10', "behind the library bob's POST to alice's stream: 404, and nothing on it"), async () => {
    const { it, alice, bob, stream, id } = await openAlice();
    const tricks = [
      `sessionId=${id}`,
      `sessionId[]=${id}`,
      `sessionId[0]=${id}`,
      `[sessionId]=${id}`,
      `sessionId=x&sessionId=${id}`,
      `%73essionId=${id}`,
      `sessionId%5B%5D=${id}`,
    ];
    for (const query of tricks) {
      const answer = await it.send('POST', `/messages?${query}`, headersFor(bob), greet);
      expect(answer.status, query).toBe(404);
    }
    expect((await it.send('POST', stream.endpoint, headersFor(alice), greet)).status).toBe(202);
    await until('the answer', 5_000, () => stream.text().includes('Hello, alice!'));
    expect(stream.text()).not.toContain('bob');
    expect(it.handed.length).toBe(1);
  });

  test('a name that nobody was given does not get through', async () => {
    const { it, alice } = await openAlice();
    const answer = await it.send('POST', '/messages?sessionId=made-up', headersFor(alice), greet);
    expect(answer.status).toBe(404);
  });

  test('a server that looks after its sessions itself can have them all', async () => {
    const { it, alice, bob, stream } = await openAlice({ gate: () => ({ bindSessions: false }) });
    expect((await it.send('POST', '/messages?sessionId=made-up', headersFor(alice), greet)).status).toBe(410);
    expect((await it.send('POST', stream.endpoint, headersFor(bob), greet)).status).toBe(202);
  });
});
