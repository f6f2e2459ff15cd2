import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { AppError } from '../../../src/lib/errors.ts';
import { until } from '../../support/until.ts';
import { json } from './support/provider.ts';
import { openStream } from './support/raw.ts';
import { call, openWorld } from './support/world.ts';

test('drain: not ready at once, open for the delay, calls finished, streams ended with a last word', async () => {
  const world = await openWorld({ settings: { drainDelayMs: 300 } });
  const token = await world.token();
  const stream = await openStream(world.server.port, { authorization: `Bearer ${token}` });
  let release = () => {};
  world.provider.instead.set('userinfo', (_req, res) => {
    release = () => json(res, 200, { sub: 'slow' });
  });
  const drained = world.server.drain({ delay: true });
  const ready = await world.send('GET', '/readyz');
  expect([ready.status, ready.json()]).toEqual([503, { status: 'draining' }]);
  expect((await world.send('GET', '/healthz')).status).toBe(200);
  expect((await world.rpc(token, call())).status).toBe(200);
  expect((await world.send('GET', '/sse', { authorization: `Bearer ${token}` })).status).toBe(503);
  const before = world.provider.counts.userinfo ?? 0;
  const slow = world.rpc(world.provider.opaque('slow'), call());
  await until('the slow question', 5_000, () => (world.provider.counts.userinfo ?? 0) > before);
  await until('the end of accepting', 5_000, () => refuses(world.server.port));
  expect(stream.text()).not.toContain(': closing');
  release();
  const last = await slow;
  expect([last.status, last.headers.connection]).toEqual([200, 'close']);
  await drained;
  await until('the end of the stream', 5_000, () => stream.closed());
  expect(stream.text()).toMatch(/: closing\n\n/);
  await world.close();
});

test('close: at once, whatever is open', async () => {
  const world = await openWorld();
  const stream = await openStream(world.server.port, { authorization: `Bearer ${await world.token()}` });
  const silent = connect(world.server.port, '127.0.0.1');
  await new Promise((resolve) => silent.once('connect', resolve));
  let gone = false;
  silent.on('close', () => {
    gone = true;
  });
  // The limit never comes: what is idle has to be closed without it.
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  await world.close().finally(() => vi.useRealTimers());
  await until('both ends', 5_000, () => stream.closed() && gone);
  expect(await refuses(world.server.port)).toBe(true);
});

test('a port that is taken is said so, with the flag that names another', async () => {
  const world = await openWorld();
  const error = await openWorld({ provider: world.provider, settings: { port: world.server.port } }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: 'port_taken', hint: expect.stringContaining('--port') });
  expect((error as AppError).message).toContain(String(world.server.port));
  await world.close();
});

function refuses(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });
}
