import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kindsToTry } from '../../../src/bridge/remote/detect.ts';
import { threat } from '../../support/threats.ts';
import { memoryStore, startClient, type TestClient, until } from './support/client.ts';
import { type FakeRemote, type Json, politely, startRemote } from './support/remote.ts';

const textOf = (answer: Json) => (answer.result as { content: { text: string }[] }).content[0]?.text ?? '';

describe('Streamable HTTP', () => {
  let client: TestClient;
  let remote: FakeRemote;
  beforeEach(async () => {
    remote = await startRemote('http');
    client = startClient(remote.url);
  });
  afterEach(async () => {
    await client.close();
    await remote.stop();
  });

  test('session id and negotiated version go with every request after initialize', async () => {
    await client.initialize({ protocolVersion: '2025-11-25' });
    await client.call();
    expect(remote.received[0]?.headers).not.toHaveProperty('mcp-session-id');
    expect(remote.received[0]?.headers).not.toHaveProperty('mcp-protocol-version');
    for (const { headers } of remote.received.slice(1)) {
      expect(headers).toMatchObject({ 'mcp-session-id': 's1', 'mcp-protocol-version': '2025-06-18' });
    }
    expect(remote.received[0]?.headers.accept).toBe('application/json, text/event-stream');
  });

  test('answers come as JSON or as events', async () => {
    await client.initialize();
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
    remote.plainJson = true;
    expect(textOf(await client.call({ n: 2 }))).toBe('{"n":2}');
  });

  test('the first call waits until the server can speak by itself', async () => {
    let opened: (() => void) | undefined;
    remote.gate = (request, response) => {
      if (request.method !== 'GET') return false;
      opened = () => response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      return true;
    };
    await client.initialize();
    const answer = client.call();
    await until('the GET', () => opened !== undefined);
    expect(remote.sent('tools/call')).toEqual([]);
    opened?.();
    await answer;
  });

  test('a server without a stream of its own (405) is fine, and not asked for it again', async () => {
    remote.gate = (request, response) => {
      if (request.method !== 'GET') return false;
      response.writeHead(405).end();
      return true;
    };
    await client.initialize();
    await client.call();
    await client.call();
    expect(remote.received.filter(({ verb }) => verb === 'GET')).toHaveLength(1);
  });

  test('its stream of server messages is opened again where it ended, with Last-Event-ID', async () => {
    await client.initialize();
    await client.call();
    await until('a stream', () => remote.streams.size === 1);
    for (const stream of remote.streams) {
      stream.end(
        'id: e7\nretry: 30\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\n\n',
      );
    }
    const again = () => remote.received.filter(({ verb }) => verb === 'GET')[1];
    await until('a second GET', () => again() !== undefined);
    expect(again()?.headers['last-event-id']).toBe('e7');
  });

  test('an answer that the server cuts is fetched by Last-Event-ID, after the time it asked for', async () => {
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call') return politely(message, reply);
      reply.response.writeHead(200, { 'content-type': 'text/event-stream' });
      reply.response.end('id: p1\nretry: 200\ndata: \n\n');
      remote.gate = (request, response) => {
        if (request.headers['last-event-id'] !== 'p1') return false;
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(
          `id: p2\ndata: {"jsonrpc":"2.0","id":"${message.id}","result":{"content":[],"late":true}}\n\n`,
        );
        return true;
      };
    };
    const at = performance.now();
    expect(await client.call()).toMatchObject({ result: { late: true } });
    expect(performance.now() - at).toBeGreaterThan(180);
    expect(remote.sent('tools/call')).toHaveLength(1);
  });

  test('an answer stream that ends without the answer, and without an id to resume by, is lost', async () => {
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call') return politely(message, reply);
      reply.response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': nothing\n\n');
    };
    expect(await client.call()).toMatchObject({ error: { code: -32001 } });
    expect(remote.sent('tools/call')).toHaveLength(1);
  });

  test.each([
    ['no JSON', 'nonsense'],
    ['an answer to something else', '{"jsonrpc":"2.0","id":"other","result":{}}'],
  ])('%s in place of the answer is an error for that call', async (_, body) => {
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call') return politely(message, reply);
      reply.response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    };
    expect(await client.call()).toMatchObject({
      error: { code: -32001, message: expect.stringContaining('no answer') },
    });
  });

  test('a refusal whose body is a JSON-RPC error is that answer, with the id of the request', async () => {
    await client.initialize();
    remote.gate = (request, response) => {
      if (request.method !== 'POST' || remote.received.at(-1)?.json.method !== 'tools/call') return false;
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end('{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: no"},"id":null}');
      return true;
    };
    expect(await client.call()).toMatchObject({ error: { code: -32000, message: 'Bad Request: no' } });
  });

  test(threat('C18', 'a session id that no header can carry is not used'), async () => {
    remote.onMessage = (message, reply) => {
      if (message.method === 'initialize') reply.response.setHeader('mcp-session-id', 'with space');
      politely(message, {
        ...reply,
        result: (result) => {
          reply.response.writeHead(200, {
            'content-type': 'application/json',
            'mcp-session-id': 'with space',
          });
          reply.response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
        },
      });
    };
    await client.initialize();
    await client.call();
    expect(remote.received.at(-1)?.headers).not.toHaveProperty('mcp-session-id');
  });

  test('the end of the input: the session is deleted, within a second', async () => {
    await client.initialize();
    await client.call();
    const at = performance.now();
    client.input.end();
    await client.bridge.closed;
    expect(performance.now() - at).toBeLessThan(1000);
    const last = remote.received.at(-1);
    expect(last).toMatchObject({
      verb: 'DELETE',
      headers: { 'mcp-session-id': 's1', authorization: 'Bearer token-1' },
    });
  });

  test('what waits for the server is cancelled through the one stream of the call', async () => {
    await client.initialize();
    remote.onMessage = (message, reply) => {
      if (message.method !== 'tools/call') politely(message, reply);
    };
    let closed = false;
    client.send({ id: 'x', method: 'tools/call', params: { name: 'echo' } });
    remote.gate = (request) => {
      if (remote.received.at(-1)?.json.method === 'tools/call')
        request.socket.on('close', () => (closed = true));
      return remote.received.at(-1)?.json.method === 'tools/call';
    };
    await until('the call', () => remote.sent('tools/call').length === 1);
    client.send({ method: 'notifications/cancelled', params: { requestId: 'x' } });
    await until('the end of its stream', () => closed);
    expect(remote.sent('notifications/cancelled')).toHaveLength(1);
  });
});

describe('finding out the transport', () => {
  let client: TestClient | undefined;
  let remote: FakeRemote | undefined;
  afterEach(async () => {
    await client?.close();
    await remote?.stop();
    client = remote = undefined;
  });

  test.each([
    ['auto', undefined, '/mcp', ['http', 'sse']],
    ['auto', undefined, '/', ['http', 'sse']],
    ['auto', undefined, '/sse', ['sse', 'http']],
    ['auto', 'http', '/sse', ['http', 'sse']],
    ['auto', 'sse', '/mcp', ['sse', 'http']],
    ['http', 'sse', '/sse', ['http']],
    ['sse', undefined, '/mcp', ['sse']],
  ] as const)('%s, %s before, %s: %j', (wanted, remembered, path, order) => {
    expect(kindsToTry(wanted, remembered, path)).toEqual(order);
  });

  test.each([400, 404, 405])('POST answered with %i: HTTP+SSE, and that is remembered', async (status) => {
    remote = await startRemote('sse');
    const { url } = remote;
    remote.gate = (request, response, path) => {
      if (path !== '/sse' || request.method !== 'POST') return false;
      response.writeHead(status).end('no');
      return true;
    };
    const store = memoryStore();
    client = startClient(new URL(`${url.href}?not-the-end-of-the-path=/x`), {
      catalogue: { ...store, load: async () => ({ transport: 'http', initialize: '{}', lists: {} }) },
    });
    expect(await client.initialize()).toMatchObject({ result: { serverInfo: { name: 'fake' } } });
    await client.call();
    expect(remote.received[0]?.verb).toBe('POST');
    expect(remote.received.filter(({ verb }) => verb === 'GET')).toHaveLength(1);
  });

  test('a path that ends in /sse but speaks Streamable HTTP', async () => {
    remote = await startRemote('http');
    const inner = remote;
    const front = createServer((request, response) => {
      if (request.method === 'GET') return void response.writeHead(405).end();
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', async () => {
        const answer = await fetch(inner.url, {
          method: 'POST',
          body,
          headers: request.headers as Record<string, string>,
        });
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(await answer.text());
      });
    });
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    client = startClient(new URL(`http://127.0.0.1:${(front.address() as AddressInfo).port}/sse`));
    await client.initialize();
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
    front.closeAllConnections();
    await new Promise((resolve) => front.close(resolve));
  });

  test('a URL that is no MCP server: an answer that says so, and the process lives', async () => {
    remote = await startRemote('http');
    client = startClient(new URL('/elsewhere', remote.url));
    await client.initialize();
    const answer = await client.call();
    expect(textOf(answer)).toContain('speaks neither Streamable HTTP nor HTTP+SSE');
    expect(await client.request('ping')).toMatchObject({ result: {} });
  });

  test('--transport sse on a Streamable HTTP server: named, with the way out', async () => {
    remote = await startRemote('http');
    remote.gate = (request, response) => {
      if (request.method !== 'GET') return false;
      response.writeHead(405).end();
      return true;
    };
    client = startClient(remote.url, { settings: { transport: 'sse' } });
    await client.initialize();
    expect(textOf(await client.call())).toContain('--transport auto');
  });

  test('a greeting nested without end is refused, and the client greeted all the same', async () => {
    remote = await startRemote('http', ({ id, method }, reply) => {
      const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
      if (method === 'initialize') {
        reply.raw(`{"jsonrpc":"2.0","id":"${id}","result":{"capabilities":{"x":${deep}}}}`);
      }
    });
    client = startClient(remote.url);
    expect(await client.initialize()).toMatchObject({ result: { serverInfo: { name: 'mcp-whoami' } } });
    expect(textOf(await client.call())).toContain('nested too deeply');
  });

  test('a server that refuses to be initialized: its own words reach the client', async () => {
    remote = await startRemote('http', ({ method }, reply) => {
      if (method === 'initialize') reply.error(-32602, 'Unsupported protocol version');
    });
    client = startClient(remote.url);
    expect(await client.initialize()).toMatchObject({
      error: { code: -32602, message: 'Unsupported protocol version' },
    });
  });
});
