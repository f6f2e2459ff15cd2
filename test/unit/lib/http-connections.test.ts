import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHttpClient } from '../../../src/lib/http.ts';

let server: Server;
let url: URL;
beforeAll(async () => {
  server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    // The last data and the end of the answer leave in one piece.
    setImmediate(() => response.end('data: {}\n\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** One exchange; out: its connection, and whether it was used before. `breakOff`: ended at its last data. */
async function exchange(client: ReturnType<typeof createHttpClient>, breakOff = false) {
  let end: (reason: Error) => void = () => {};
  let used: { socket: Socket; reused: boolean } | undefined;
  const incoming = await client.open(url, {
    started: (given) => {
      end = given;
    },
    connected: (socket, reused) => {
      used = { socket, reused };
    },
  });
  const over = new Promise<void>((resolve) => incoming.once('close', resolve));
  incoming.on('error', () => {});
  incoming.on('data', () => breakOff && end(new Error('not wanted any more')));
  await over;
  // A freed connection is put back in the next turn.
  await new Promise((resolve) => setImmediate(resolve));
  return used;
}

test('a request that is broken off in the moment of its end throws nothing at nobody', async () => {
  const client = createHttpClient({ userAgent: 'test/1' });
  for (let times = 0; times < 20; times++) await exchange(client, true);
  expect((await exchange(client))?.socket).toBeDefined();
  client.close();
});

test('connections are kept; retired ones are not used again; a fork has its own', async () => {
  const client = createHttpClient({ userAgent: 'test/1' });
  const first = await exchange(client);
  const second = await exchange(client);
  expect(second).toMatchObject({ reused: true });
  expect(second?.socket).toBe(first?.socket);
  client.retire();
  expect(await exchange(client)).toMatchObject({ reused: false });
  const fork = client.fork({ maxSockets: 1 });
  expect(await exchange(fork)).toMatchObject({ reused: false });
  fork.close();
  expect(await exchange(client)).toMatchObject({ reused: true });
  client.close();
});

test('a connection that was idle for its time is not used again', async () => {
  const client = createHttpClient({ userAgent: 'test/1', idleMs: 20 });
  const first = await exchange(client);
  await new Promise<void>((resolve) => first?.socket.once('close', () => resolve()));
  expect(await exchange(client)).toMatchObject({ reused: false });
  client.close();
});

test('a request that takes longer than an idle connection is kept comes through', async () => {
  const slow = createServer((_, response) => setTimeout(() => response.end('late'), 200));
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  const client = createHttpClient({ userAgent: 'test/1', idleMs: 20 });
  const { port } = slow.address() as AddressInfo;
  expect(await client.read(new URL(`http://127.0.0.1:${port}/`))).toMatchObject({
    status: 200,
    body: 'late',
  });
  client.close();
  slow.close();
});
