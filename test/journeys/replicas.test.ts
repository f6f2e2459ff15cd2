import { describe, expect, test } from 'vitest';
import { runFleet } from '../support/fleet-run.ts';
import { hasRedis } from '../support/redis.ts';

const small = { replicas: 4, bridges: 10, calls: 400, rounds: 4, say: () => {} };
const sound = { ok: 400, wrong: 0, lost: 0, doubled: 0, errors: 0 };

// `npm run replicas` makes the same run with more calls.
describe.skipIf(!hasRedis)('four replicas, one Redis, a balancer without stickiness', () => {
  test('HTTP+SSE: one replica after the other is killed, and Redis too: each call answered once', async () => {
    const figures = await runFleet({ ...small, transport: 'sse', how: 'kill', killRedis: true });
    expect(figures).toMatchObject({ ...sound, kills: 4, redisKills: 1 });
  }, 180_000);

  test('Streamable HTTP: one replica after the other is killed: each call answered once', async () => {
    const figures = await runFleet({ ...small, transport: 'http', how: 'kill', killRedis: false });
    expect(figures).toMatchObject({ ...sound, kills: 4 });
  }, 180_000);

  test('HTTP+SSE: one of two is drained, then the other: no call fails', async () => {
    const figures = await runFleet({
      ...small,
      ...{ replicas: 2, rounds: 4, transport: 'sse', how: 'drain', killRedis: false },
    });
    expect(figures).toMatchObject({ ...sound, kills: 4 });
  }, 180_000);
});
