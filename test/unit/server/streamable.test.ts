import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version } from '../../../src/lib/version.ts';
import { threat } from '../../support/threats.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await openWorld();
  token = await world.token();
});
afterAll(() => world.close());

const rpc = (message: unknown, headers: Record<string, string> = {}) => world.rpc(token, message, headers);
const request = (method: string, params?: unknown, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const initialize = (protocolVersion: unknown) =>
  request('initialize', { protocolVersion, capabilities: {}, clientInfo: { name: 'x', version: '1' } });

describe('initialize', () => {
  test.each([
    ['2024-11-05', '2024-11-05'],
    ['2025-03-26', '2025-03-26'],
    ['2025-06-18', '2025-06-18'],
    ['2025-11-25', '2025-11-25'],
    ['2026-07-28', '2025-11-25'],
    ['1.0', '2025-11-25'],
  ])('%s settles on %s, without a session', async (asked, settled) => {
    const answer = await rpc(initialize(asked));
    expect(answer.status).toBe(200);
    expect(answer.headers).not.toHaveProperty('mcp-session-id');
    expect(answer.json()).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {
        protocolVersion: settled,
        capabilities: { tools: {} },
        serverInfo: { name: 'WhoAmI', title: 'Who am I', version },
      },
    });
  });

  test('without a version it is an error', async () => {
    expect((await rpc(request('initialize', {}))).json()).toMatchObject({ error: { code: -32602 } });
  });
});

describe('the form of the answer', () => {
  test.each([
    ['application/json, text/event-stream', 'application/json'],
    ['text/event-stream, application/json;q=0.1', 'application/json'],
    ['*/*', 'application/json'],
    ['application/*', 'application/json'],
    ['text/event-stream', 'text/event-stream'],
  ])('Accept: %s gets %s', async (accept, type) => {
    const answer = await rpc(call(3), { accept });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe(type);
    const text =
      type === 'application/json' ? answer.body : /^event: message\ndata: (.*)\n\n$/.exec(answer.body)?.[1];
    expect(JSON.parse(text ?? '')).toMatchObject({ id: 3, result: { structuredContent: { sub: 'alice' } } });
  });

  test('what accepts neither gets 406', async () => {
    expect((await rpc(call(), { accept: 'text/html' })).status).toBe(406);
  });

  test('no cache keeps claims', async () => {
    expect((await rpc(call())).headers['cache-control']).toBe('no-store');
    expect((await rpc(call(), { accept: 'text/event-stream' })).headers['cache-control']).toContain(
      'no-cache',
    );
  });
});

describe('messages', () => {
  test('notifications and answers: 202 without a body', async () => {
    for (const message of [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } },
      { jsonrpc: '2.0', id: 5, result: {} },
      { jsonrpc: '2.0', id: 'x', error: { code: -1, message: 'no' } },
    ]) {
      const answer = await rpc(message);
      expect([answer.status, answer.body]).toEqual([202, '']);
    }
  });

  test('ids come back as they were', async () => {
    for (const id of [0, -1, 1.5, 2 ** 53 - 1, '', '1', 'ä"\\\u0001', '__proto__']) {
      expect((await rpc(request('ping', undefined, id))).json()).toEqual({ jsonrpc: '2.0', id, result: {} });
    }
  });

  test('whoami does not mind arguments that it does not know', async () => {
    const answer = await rpc(request('tools/call', { name: 'whoami', arguments: { a: 1 }, _meta: { b: 2 } }));
    expect(answer.json()).toMatchObject({ result: { structuredContent: { sub: 'alice' } } });
    expect((await rpc(request('tools/call', { name: 'whoami' }))).json()).toHaveProperty('result');
  });

  test.each([
    ['another tool', request('tools/call', { name: 'other' }), -32602],
    ['no tool', request('tools/call', {}), -32602],
    ['no parameters', request('tools/call'), -32602],
    ['a tool named __proto__', request('tools/call', { name: '__proto__' }), -32602],
    ['resources/list', request('resources/list'), -32601],
    ['logging/setLevel', request('logging/setLevel', { level: 'info' }), -32601],
    ['server/discover', request('server/discover', {}), -32601],
    ['toString', request('toString'), -32601],
  ])('%s: an error in a 200', async (_what, message, code) => {
    const answer = await rpc(message);
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ jsonrpc: '2.0', id: 1, error: { code } });
  });

  test.each([
    ['not JSON', '{oops', -32700, null],
    ['nothing', ' ', -32700, null],
    ['half', '{"jsonrpc":"2.0","id":1', -32700, null],
    ['JSON nested 65 deep', `${'['.repeat(65)}${']'.repeat(65)}`, -32700, null],
    ['a number', '7', -32600, null],
    ['null', 'null', -32600, null],
    ['text', '"ping"', -32600, null],
    ['no version', '{"id":1,"method":"ping"}', -32600, 1],
    ['version 1.0', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, 1],
    ['a method that is a number', '{"jsonrpc":"2.0","id":1,"method":7}', -32600, 1],
    ['parameters in a list', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600, 1],
    ['id null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, null],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, null],
    ['an id beyond every number', '{"jsonrpc":"2.0","id":1e999,"method":"ping"}', -32600, null],
    ['neither method nor result', '{"jsonrpc":"2.0","id":1}', -32600, 1],
    ['inherited members only', '{"__proto__":{"jsonrpc":"2.0","id":1,"method":"ping"}}', -32600, null],
  ])(threat('R15', '%s: 400 with a JSON-RPC error and without a stack'), async (_what, body, code, id) => {
    const answer = await rpc(body);
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ jsonrpc: '2.0', id, error: { code } });
    expect(answer.body).not.toMatch(/at .*\.[jt]s|node:/);
  });
});

describe('MCP-Protocol-Version', () => {
  test.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('%s is known', async (header) => {
    expect((await rpc(call(), { 'mcp-protocol-version': header })).status).toBe(200);
  });

  test.each(['2026-07-28', '2023-01-01', 'latest', '2025-06-18, 2025-11-25'])('%s: 400', async (header) => {
    const answer = await rpc(call(), { 'mcp-protocol-version': header });
    expect(answer.status).toBe(400);
    expect(answer.json()).toMatchObject({ error: { code: -32600 } });
    expect(answer.json().error).not.toMatchObject({ code: -32022 });
  });

  test('the questions about versions are answered under any', async () => {
    const later = { 'mcp-protocol-version': '2026-07-28' };
    expect((await rpc(initialize('2026-07-28'), later)).json()).toMatchObject({
      result: { protocolVersion: '2025-11-25' },
    });
    expect((await rpc(request('server/discover'), later)).json()).toMatchObject({ error: { code: -32601 } });
  });
});

describe('batches', () => {
  const batch = [
    call(1),
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    request('ping', undefined, 'p'),
  ];

  test('are answered in order where the revision has them', async () => {
    for (const headers of [{}, { 'mcp-protocol-version': '2025-03-26' }] as Record<string, string>[]) {
      const answer = await rpc(batch, headers);
      expect(answer.status).toBe(200);
      expect((answer.json() as unknown as { id: unknown }[]).map(({ id }) => id)).toEqual([1, 'p']);
    }
    expect((await rpc([batch[1]])).status).toBe(202);
  });

  test(threat('R15', 'are refused for later revisions'), async () => {
    for (const version of ['2025-06-18', '2025-11-25']) {
      const answer = await rpc(batch, { 'mcp-protocol-version': version });
      expect(answer.status).toBe(400);
      expect(answer.json()).toMatchObject({ id: null, error: { code: -32600 } });
    }
  });

  test(
    threat('R15', 'are refused when empty or of more than 100; bad members are answered one by one'),
    async () => {
      expect((await rpc([])).status).toBe(400);
      expect((await rpc(Array.from({ length: 5_000 }, (_, i) => call(i)))).status).toBe(400);
      const answer = await rpc([7, initialize('2025-03-26'), request('ping', undefined, 2)]);
      expect(answer.status).toBe(200);
      expect(answer.json()).toMatchObject([
        { id: null, error: { code: -32600 } },
        { error: { code: -32600 } },
        { id: 2, result: {} },
      ]);
    },
  );
});

test('a session id from before a restart is simply served', async () => {
  expect((await rpc(call(), { 'mcp-session-id': 'of-long-ago' })).status).toBe(200);
});
