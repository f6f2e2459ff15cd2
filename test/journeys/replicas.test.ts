import { describe, expect, test } from 'vitest';
import { type FleetFigures, runFleet } from '../support/fleet-run.ts';
import { hasRedis } from '../support/redis.ts';

const small = { replicas: 4, bridges: 10, calls: 400, rounds: 4, say: () => {} };
const sound = { wrong: 0, lost: 0, doubled: 0 };

/** A call that a kill hits may run once more; one that two kills hit may say so, and nothing else may be said. */
function expectHonest({ ok, errors, messages }: FleetFigures): void {
  expect(ok + errors).toBe(400);
  expect(ok).toBeGreaterThan(380);
  expect(Object.keys(messages).filter((text) => !text.includes('may have run'))).toEqual([]);
}

// `npm run replicas` makes the same run with more calls.
describe.skipIf(!hasRedis)('four replicas, one Redis, a balancer without stickiness', () => {
  test('HTTP+SSE: one replica after the other is killed, and Redis too: each call answered once', async () => {
    const figures = await runFleet({ ...small, transport: 'sse', how: 'kill', killRedis: true });
    expect(figures).toMatchObject({ ...sound, kills: 4, redisKills: 1 });
    expectHonest(figures);
  }, 180_000);

  test('Streamable HTTP: one replica after the other is killed: each call answered once', async () => {
    const figures = await runFleet({ ...small, transport: 'http', how: 'kill', killRedis: false });
    expect(figures).toMatchObject({ ...sound, kills: 4 });
    expectHonest(figures);
  }, 180_000);

  test.each([
    ['HTTP+SSE', 'sse'],
    ['Streamable HTTP', 'http'],
  ] as const)(
    '%s: one of two is drained, then the other: no call fails',
    async (_name, transport) => {
      const figures = await runFleet({
        ...small,
        ...{ replicas: 2, rounds: 4, transport, how: 'drain', killRedis: false },
      });
      expect(figures).toMatchObject({ ...sound, ok: 400, errors: 0, kills: 4 });
    },
    180_000,
  );
});
