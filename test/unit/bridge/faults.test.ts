import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { createTokens, startClient, type TestClient, until } from './support/client.ts';
import { type FakeRemote, type Json, politely, startRemote } from './support/remote.ts';

const textOf = (answer: Json) => (answer.result as { content: { text: string }[] }).content[0]?.text ?? '';
const isError = (answer: Json) => (answer.result as { isError?: boolean }).isError === true;

let client: TestClient;
let remote: FakeRemote;
afterEach(async () => {
  await client.close();
  await remote.stop();
});

describe.each(['http', 'sse'] as const)('faults over %s', (kind) => {
  beforeEach(async () => {
    remote = await startRemote(kind);
    client = startClient(remote.url);
  });

  /** Answers the next POST of a tools/call by `status` and then behaves. */
  const onceOnCall = (status: number, headers: Record<string, string> = {}) => {
    remote.gate = (request, response) => {
      if (request.method !== 'POST' || remote.received.at(-1)?.json.method !== 'tools/call') return false;
      remote.gate = undefined;
      response.writeHead(status, headers).end();
      return true;
    };
  };

  test('the server dies with a call in flight: an error that says it may have run, within a second', async () => {
    await client.initialize();
    remote.onMessage = () => {};
    const answer = client.call();
    await until('the call at the server', () => remote.sent('tools/call').length === 1);
    const at = performance.now();
    await remote.stop();
    expect(await answer).toMatchObject({
      error: { code: -32001, message: expect.stringContaining('may have run') },
    });
    expect(performance.now() - at).toBeLessThan(1000);
    await remote.restart();
    remote.onMessage = politely;
    expect(isError(await client.call())).toBe(false);
    expect(remote.sent('tools/call')).toHaveLength(2);
  });

  test('calls that come while it is down are held, and sent once it is back', async () => {
    await client.initialize();
    await client.call({ n: 1 });
    await remote.stop();
    const noticed = /no stream of server messages|lost the connection/;
    await until('the loss', () => client.log.some((line) => noticed.test(line)));
    const held = client.call({ n: 2 });
    await until('a try', () => client.log.some((line) => line.includes('trying again')));
    remote.sessions.clear();
    await remote.restart();
    expect(textOf(await held)).toBe('{"n":2}');
    expect(remote.sent('initialize')).toHaveLength(2);
    expect(remote.sent('initialize')[0]?.text).toBe(remote.sent('initialize')[1]?.text);
    expect(remote.sent('tools/call')).toHaveLength(2);
  });

  test('a forgotten session (404): a new one, and the call again, unseen', async () => {
    await client.initialize();
    await client.call({ n: 1 });
    remote.sessions.clear();
    expect(textOf(await client.call({ n: 2 }))).toBe('{"n":2}');
    expect(client.messages.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(remote.sent('initialize')).toHaveLength(2);
    expect(remote.sent('notifications/initialized')).toHaveLength(2);
  });

  test('401 in mid session: one renewal for all, once again', async () => {
    await client.close();
    const tokens = createTokens('old');
    client = startClient(remote.url, { tokens });
    await client.initialize();
    await client.call();
    tokens.next = 'new';
    remote.gate = (request, response) => {
      if (request.headers.authorization === 'Bearer new') return false;
      response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
      return true;
    };
    expect(isError(await client.call())).toBe(false);
    expect(tokens.renewals).toBe(1);
  });

  test(threat('C19', 'a server that refuses the fresh token too is not asked for ever'), async () => {
    await client.close();
    const tokens = createTokens('old');
    client = startClient(remote.url, { tokens });
    await client.initialize();
    await client.call();
    tokens.next = 'new';
    remote.gate = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    const answer = await client.call();
    expect(isError(answer)).toBe(true);
    expect(textOf(answer)).toContain('refuses the access token');
    expect(textOf(answer)).not.toContain('new');
    expect(remote.sent('tools/call')).toHaveLength(3);
  });

  test.each([
    [
      'a day behind ours',
      -24 * 3_600_000,
      'check the clock of this machine: it is 24 h ahead of the one of 127',
    ],
    ['a little behind ours', -4 * 60_000, 'the server may expect another audience or issuer'],
  ])('a fresh token refused by a server whose clock is %s', async (_, ahead, expected) => {
    await client.close();
    const tokens = createTokens('old');
    client = startClient(remote.url, { tokens });
    await client.initialize();
    await client.call();
    tokens.next = 'new';
    remote.gate = (_request, response) => {
      response.writeHead(401, { date: new Date(Date.now() + ahead).toUTCString() }).end();
      return true;
    };
    expect(textOf(await client.call())).toContain(expected);
  });

  test('403 insufficient_scope: the answer names the scopes and the line to type', async () => {
    await client.initialize();
    onceOnCall(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="files:write admin"' });
    const answer = await client.call();
    expect(textOf(answer)).toContain('--scope "openid files:write admin"');
    expect(isError(answer)).toBe(true);
  });

  test(
    threat('S3', '403 whose scopes are our token: it does not get into the answer or the log'),
    async () => {
      await client.initialize();
      onceOnCall(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="a token-1 b"' });
      const answer = await client.call();
      expect(isError(answer)).toBe(true);
      expect(JSON.stringify(answer) + client.log.join('')).not.toContain('token-1');
    },
  );

  test('403 without a challenge: an answer, neither a sign-in nor a second try', async () => {
    await client.initialize();
    onceOnCall(403);
    expect(textOf(await client.call())).toContain('does not let this account');
    expect(remote.sent('tools/call')).toHaveLength(1);
  });

  test.each([429, 503])('%i with a short Retry-After: waited for, then sent again', async (status) => {
    await client.initialize();
    onceOnCall(status, { 'retry-after': '1' });
    const at = performance.now();
    expect(isError(await client.call())).toBe(false);
    expect(performance.now() - at).toBeGreaterThan(900);
    expect(remote.sent('tools/call')).toHaveLength(2);
  });

  test('429 with a long Retry-After: ended at once with the time', async () => {
    await client.initialize();
    onceOnCall(429, { 'retry-after': '90' });
    expect(textOf(await client.call())).toContain('90 s');
    expect(remote.sent('tools/call')).toHaveLength(1);
  });

  test.each([500, 502, 503])('%i without Retry-After: an error, sent once', async (status) => {
    await client.initialize();
    onceOnCall(status);
    expect(await client.call()).toMatchObject({
      error: { code: -32001, message: expect.stringContaining(String(status)) },
    });
    expect(remote.sent('tools/call')).toHaveLength(1);
  });

  test('a redirect within the origin is followed, with the token', async () => {
    await client.initialize();
    const path = kind === 'http' ? '/mcp?moved' : undefined;
    remote.gate = (request, response) => {
      if (remote.received.at(-1)?.json.method !== 'tools/call' || request.url?.endsWith('moved'))
        return false;
      response.writeHead(307, { location: path ?? `${request.url}&moved` }).end();
      return true;
    };
    expect(isError(await client.call({ n: 1 }))).toBe(false);
    expect(remote.received.at(-1)?.headers.authorization).toBe('Bearer token-1');
  });

  test(
    threat('C10', 'a redirect to another origin is refused: neither token nor arguments get there'),
    async () => {
      await client.initialize();
      const evil = await startRemote('http');
      onceOnCall(307, { location: evil.url.href });
      const answer = await client.call({ secret: 1 });
      expect(isError(answer)).toBe(true);
      expect(textOf(answer)).toContain(evil.url.origin);
      expect(textOf(answer)).toContain(remote.url.host);
      expect(evil.received).toEqual([]);
      await evil.stop();
    },
  );

  test(threat('C19', 'a redirect to itself ends'), async () => {
    await client.initialize();
    remote.gate = (request, response) => {
      if (remote.received.at(-1)?.json.method !== 'tools/call') return false;
      response.writeHead(308, { location: request.url }).end();
      return true;
    };
    expect(textOf(await client.call())).toContain('redirects without an end');
    expect(remote.sent('tools/call')).toHaveLength(6);
  });

  test(threat('C14', 'a message over the limit ends that call only'), async () => {
    await client.close();
    client = startClient(remote.url, { settings: { maxMessageBytes: 100_000 } });
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call' || !message.params?.arguments) return politely(message, reply);
      const { size } = message.params.arguments as { size: number };
      reply.raw(`{"result":{"content":[],"x":"${'x'.repeat(size)}"},"jsonrpc":"2.0","id":"${message.id}"}`);
    };
    const [large, small] = await Promise.all([
      client.call({ size: 1_000_000 }),
      client.call({ size: 50_000 }),
    ]);
    expect(large).toMatchObject({ error: { code: -32603, data: { code: 'too_large' } } });
    expect(small).toMatchObject({ result: {} });
    expect(isError(await client.call({ size: 10 }))).toBe(false);
  });

  test('an answer that is not JSON ends its call', async () => {
    await client.initialize();
    remote.onMessage = ({ id, method }, reply) => {
      if (method === 'tools/call') reply.raw(`{"jsonrpc":"2.0","id":"${id}","result":{`);
    };
    expect(await client.call()).toMatchObject({
      error: { code: -32001, message: expect.stringContaining('no answer') },
    });
  });

  test('a silent call ends at --timeout, and the server is told', async () => {
    await client.close();
    client = startClient(remote.url, { settings: { timeoutMs: 500 } });
    await client.initialize();
    remote.onMessage = () => {};
    expect(await client.call()).toMatchObject({ error: { code: -32001, data: { code: 'timeout' } } });
    await until('a cancellation', () => remote.sent('notifications/cancelled').length > 0);
  });

  test('requests of a connection that is gone are not answered on the next one', async () => {
    await client.initialize();
    await client.call();
    await until('a stream', () => remote.streams.size > 0);
    remote.say('{"jsonrpc":"2.0","id":"s1","method":"roots/list"}');
    await client.message(({ id }) => id === 's1');
    remote.sessions.clear();
    remote.reset();
    await until('a new connection', () => remote.sent('notifications/initialized').length === 2);
    client.line('{"jsonrpc":"2.0","id":"s1","result":{"roots":[]}}');
    await client.call();
    expect(remote.received.some(({ text }) => text.includes('"roots":[]'))).toBe(false);
  });

  test('signed out on a live session: other requests get -32002 with the line to type', async () => {
    await client.close();
    const tokens = createTokens('old');
    client = startClient(remote.url, { tokens });
    await client.initialize();
    await client.call();
    remote.gate = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    expect(await client.request('resources/read', { uri: 'x:y' })).toMatchObject({
      error: {
        code: -32002,
        message: expect.stringContaining('mcp-whoami login'),
        data: { code: 'not_signed_in' },
      },
    });
  });
});

describe('HTTP+SSE only', () => {
  beforeEach(async () => {
    remote = await startRemote('sse');
    client = startClient(remote.url);
  });

  test('the stream drops: everything in flight fails at once, and the next call runs on a new one', async () => {
    await client.initialize();
    remote.onMessage = () => {};
    const [one, two] = [client.call(), client.request('items/create', { uri: 'x:y' })];
    await until('both', () => remote.sent('tools/call').length + remote.sent('items/create').length === 2);
    remote.onMessage = politely;
    remote.reset();
    expect(await one).toMatchObject({ error: { code: -32001 } });
    expect(await two).toMatchObject({ error: { code: -32001 } });
    expect(isError(await client.call())).toBe(false);
  });

  test('a stream cut in the middle of an event: no half message on standard output', async () => {
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call') return politely(message, reply);
      for (const stream of remote.streams) stream.end(`data: {"jsonrpc":"2.0","id":"${message.id}","resul`);
    };
    expect(await client.call()).toMatchObject({ error: { code: -32001 } });
  });

  test.each([
    'http://127.0.0.1:1/messages',
    '//127.0.0.1:1/messages',
    'javascript:alert(1)',
    'https://user@127.0.0.1/messages',
  ])(threat('C11', 'an endpoint event that names %s ends the connection'), async (endpoint) => {
    await client.close();
    remote.gate = (request, response) => {
      if (request.method !== 'GET') return false;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
      return true;
    };
    client = startClient(remote.url);
    await client.initialize();
    const answer = await client.call();
    expect(isError(answer)).toBe(true);
    expect(textOf(answer)).toContain('is not within');
    // The address is the server's text: it may hold what we sent it.
    expect(textOf(answer)).not.toContain('/messages');
    expect(remote.received.filter(({ verb }) => verb === 'POST')).toEqual([]);
  });

  test('a server that closes right after the endpoint event is asked with growing pauses', async () => {
    await client.close();
    let opened = 0;
    remote.gate = (request, response) => {
      if (request.method !== 'GET') return false;
      opened++;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end('event: endpoint\ndata: /messages?session=s\n\n');
      return true;
    };
    client = startClient(remote.url);
    await client.initialize();
    await until('three tries', () => opened >= 3);
    const at = performance.now();
    await until('another one', () => opened >= 4);
    expect(performance.now() - at).toBeGreaterThan(500);
  });
});
