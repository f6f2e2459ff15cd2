import { describe, expect, test } from 'vitest';
import { createRates } from '../../../src/server/rates.ts';
import { threat } from '../../support/threats.ts';
import { call, openWorld } from './support/world.ts';

describe('a token bucket', () => {
  const taken = (rates: ReturnType<typeof createRates>, key: string, times: number) =>
    Array.from({ length: times }, () => rates.take(key)).filter(Boolean).length;

  test('a burst, then as many a second as the rate says; each key has its own', () => {
    let now = 0;
    const rates = createRates({ perSecond: () => 2, burstSeconds: 5, now: () => now });
    expect(taken(rates, 'a', 20)).toBe(10);
    expect(taken(rates, 'b', 20)).toBe(10);
    now += 1_000;
    expect(taken(rates, 'a', 20)).toBe(2);
    now += 3_600_000;
    expect(taken(rates, 'a', 20)).toBe(10);
  });

  test('a clock that is set back fills nothing, and breaks nothing', () => {
    let now = 10_000;
    const rates = createRates({ perSecond: () => 1, burstSeconds: 2, now: () => now });
    expect(taken(rates, 'a', 5)).toBe(2);
    now = 0;
    expect(taken(rates, 'a', 5)).toBe(0);
    now = 1_000;
    expect(taken(rates, 'a', 5)).toBe(1);
  });

  test('without a rate there is no limit', () => {
    const rates = createRates({ perSecond: () => undefined, burstSeconds: 5, now: () => 0 });
    expect(taken(rates, 'a', 1_000)).toBe(1_000);
  });
});

test(
  threat('R18', '--user-rate: who calls too often gets 429, whatever the token; no other user suffers'),
  async () => {
    const start = Date.now();
    const world = await openWorld({ settings: { userRate: 1 } });
    const tokens = [await world.token(), await world.token()];
    const statuses: number[] = [];
    for (let i = 0; i < 20; i++) statuses.push((await world.rpc(tokens[i % 2], call())).status);
    const passed = statuses.filter((status) => status === 200).length;
    expect(passed).toBeGreaterThanOrEqual(5);
    // On a slow machine the bucket fills up meanwhile.
    expect(passed).toBeLessThanOrEqual(6 + (Date.now() - start) / 1000);
    const refused = await world.rpc(tokens[0], call());
    if (refused.status === 429) expect(refused.headers['retry-after']).toBe('1');
    expect((await world.rpc(await world.token('bob'), call())).status).toBe(200);
    expect(statuses).toContain(429);
    await world.close();
  },
);
