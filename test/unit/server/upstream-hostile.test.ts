import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSigningKey } from '../../../src/lib/signing-key.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { call, openWorld, type World } from './support/world.ts';

interface Got {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** A server that takes down what reaches it, and answers as `answer` says. */
async function openRecorder() {
  const got: Got[] = [];
  const recorder = {
    got,
    answer: (_: Got, res: ServerResponse) => void res.writeHead(202).end(),
    /** Connections that are open. */
    sockets: () => new Promise<number>((done) => server.getConnections((_, count) => done(count))),
    origin: '',
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server: Server = createServer((req, res) => {
    req.resume();
    const request = { method: req.method ?? '', url: req.url ?? '', headers: req.headers };
    got.push(request);
    recorder.answer(request, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  recorder.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return recorder;
}

let behind: Awaited<ReturnType<typeof openRecorder>>;
let elsewhere: Awaited<ReturnType<typeof openRecorder>>;
let world: World;

beforeEach(async () => {
  [behind, elsewhere] = await Promise.all([openRecorder(), openRecorder()]);
  world = await openWorld({
    settings: { upstream: new URL(`${behind.origin}/mcp`) },
    identityKey: makeSigningKey(),
  });
});
afterEach(async () => {
  await Promise.all([behind.close(), elsewhere.close()]);
  await world.close();
});

const headersOf = async (sub = 'alice') => ({
  authorization: `Bearer ${await world.token(sub)}`,
  'content-type': 'application/json',
});

/** The endpoint that our client is told of when the upstream names `address`; undefined: none. */
async function endpointFor(address: string): Promise<string | undefined> {
  behind.answer = ({ method }, res) => {
    if (method === 'POST') return void res.writeHead(202).end();
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(`event: endpoint\ndata: ${address}\n\n`);
  };
  const stop = new AbortController();
  const response = await fetch(`${world.origin}/sse`, { headers: await headersOf(), signal: stop.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = (await reader?.read().catch(() => undefined)) ?? { done: true, value: '' };
    text += value ?? '';
    if (done || text.includes('\n\n')) break;
  }
  stop.abort();
  return /data: (\/messages\?session=\S+)/.exec(text)?.[1];
}

describe('an upstream that leads astray', () => {
  test.each(['path', 'absolute'])(
    threat('C11', 'a path that looks like another host (%s) stays behind the gate, identity and all'),
    async (form) => {
      const evil = `//${new URL(elsewhere.origin).host}/steal?x=1`;
      const endpoint = await endpointFor(form === 'path' ? `/.${evil}` : `${behind.origin}${evil}`);
      await world.send('POST', endpoint ?? '', await headersOf(), JSON.stringify(call()));
      expect(elsewhere.got).toEqual([]);
      expect(behind.got.at(-1)).toMatchObject({ method: 'POST', url: evil });
    },
  );

  test(threat('R10', 'the name of a session is no path, and a path is no name of a session'), async () => {
    const endpoint = await endpointFor('/messages?s=1');
    const path = new URLSearchParams(endpoint?.split('?')[1]).get('session') ?? '';
    behind.answer = (_, res) => void res.writeHead(200, { 'mcp-session-id': 'admin/delete' }).end();
    const opened = await world.rpc(await world.token(), call());
    const name = opened.headers['mcp-session-id'] ?? '';
    const count = behind.got.length;
    const message = JSON.stringify(call());
    const posted = await world.send('POST', `/messages?session=${name}`, await headersOf(), message);
    expect(posted.status).toBe(404);
    expect((await world.rpc(await world.token(), call(), { 'mcp-session-id': path })).status).toBe(404);
    expect(behind.got).toHaveLength(count);
  });

  test('an odd status ends in an answer, and leaves no connection behind', async () => {
    behind.answer = (_, res) => void res.socket?.end('HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n');
    expect((await world.rpc(await world.token(), call())).status).toBeGreaterThanOrEqual(500);
  });
});

/** A request whose answer is not read. */
async function begin(method: 'GET' | 'POST', sub: string) {
  const { port, hostname, host } = new URL(world.origin);
  const body = method === 'POST' ? JSON.stringify(call()) : '';
  const headers = { host, ...(await headersOf(sub)), 'content-length': String(body.length) };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  socket.write(`${method} /mcp HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  return socket;
}

test(
  threat('R18', 'calls that are never answered leave room for those of others behind the gate'),
  async () => {
    behind.answer = () => {};
    const hanging = 300;
    const sockets = await Promise.all(Array.from({ length: hanging }, () => begin('POST', 'mallory')));
    await until('the calls behind the gate', 8_000, () => behind.got.length === hanging);
    behind.answer = (_, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    expect((await world.rpc(await world.token('alice'), call())).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  },
);

test(threat('R9', 'no cache on the way keeps an answer, whatever the upstream says'), async () => {
  behind.answer = (_, res) =>
    void res
      .writeHead(200, { 'content-type': 'application/json', 'cache-control': 'public, max-age=60' })
      .end('{}');
  const { headers } = await world.rpc(await world.token(), call());
  expect(headers['cache-control']).toBe('no-store, no-transform');
});

test(threat('R17', 'a client that does not read holds no stream beyond the end of its token'), async () => {
  behind.answer = (_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const more = () => {
      while (!res.destroyed && res.write(`data: ${'x'.repeat(65_536)}\n\n`));
      if (!res.destroyed) res.once('drain', more);
    };
    more();
  };
  const socket = await begin('GET', 'alice');
  socket.pause();
  await until('the stream behind the gate', 5_000, () => behind.got.length > 0);
  world.pass(3_600_000 + 61_000);
  await until('no connection behind the gate', 15_000, async () => (await behind.sockets()) === 0);
  socket.destroy();
}, 25_000);

describe('a client that leaves', () => {
  const leave = async (method: 'GET' | 'POST', answer: typeof behind.answer) => {
    behind.answer = answer;
    const socket = await begin(method, 'alice');
    await until('the request behind the gate', 5_000, () => behind.got.length > 0);
    socket.destroy();
    await until('no connection behind the gate', 8_000, async () => (await behind.sockets()) === 0);
  };

  test('takes with it the request that is not answered yet', () => leave('POST', () => {}));
  test('takes with it the stream that answers a call', () =>
    leave('POST', (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
    }));
  test('takes with it a stream that is written without end', () =>
    leave('GET', (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const more = () => {
        while (!res.destroyed && res.write(`data: ${'x'.repeat(65_536)}\n\n`));
        if (!res.destroyed) res.once('drain', more);
      };
      more();
    }));
});
