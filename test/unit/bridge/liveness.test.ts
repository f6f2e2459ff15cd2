import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '../../../src/bridge/link.ts';
import { createLiveness, type Liveness } from '../../../src/bridge/liveness.ts';
import { createWitness } from '../../../src/bridge/remote/witness.ts';
import { createRenewals } from '../../../src/bridge/renewals.ts';
import { createRepeatable } from '../../../src/bridge/repeatable.ts';
import type { InFlight } from '../../../src/bridge/requests.ts';
import { createLog } from '../../../src/lib/log.ts';

describe('liveness, with clocks moved by hand', () => {
  const clock = { now: 0, wall: 0 };
  let signAt: number;
  let pings: number;
  let stalled: boolean;
  let open: boolean;
  let doubted: boolean;
  const dropped: string[] = [];
  let entries: InFlight[];
  let liveness: Liveness;
  const transport = {
    lastSign: () => signAt,
    ping: () => {
      pings++;
    },
  };
  const session = { transport, source: {} } as unknown as Session;

  beforeEach(() => {
    Object.assign(clock, { now: 1_000_000, wall: 5_000_000 });
    signAt = Number.NEGATIVE_INFINITY;
    [pings, stalled, open, doubted, entries] = [0, false, true, false, []];
    dropped.length = 0;
    liveness = createLiveness({
      server: new URL('http://server.example/mcp'),
      requests: { all: () => entries },
      link: {
        doubt() {
          doubted = true;
          return session;
        },
        trust: () => {
          doubted = false;
        },
        drop: () => {
          dropped.push('session');
          open = false;
        },
        stands: () => open,
      },
      carrier: { giveUp: () => void dropped.push('request') },
      log: createLog({ level: 'error', write: () => {} }),
      now: () => clock.now,
      wall: () => clock.wall,
      stalled: () => stalled,
    });
  });
  afterEach(() => liveness.stop());

  const pass = (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      clock.now += 1000;
      clock.wall += 1000;
      liveness.look();
    }
  };
  const send = () => {
    entries = [{ session, sentAt: clock.now, aliveAt: 0 } as unknown as InFlight];
  };

  test('nothing in flight: no pings, however long', () => {
    pass(600);
    expect(pings).toBe(0);
    expect(dropped).toEqual([]);
  });

  test('a silent call: pings from the third second on, given up at twelve', () => {
    send();
    pass(2);
    expect(pings).toBe(0);
    pass(9);
    expect(pings).toBe(9);
    expect(dropped).toEqual([]);
    pass(1);
    expect(dropped).toEqual(['session', 'request']);
  });

  test('signs of life keep it, and without pings when they come often', () => {
    send();
    for (let times = 0; times < 60; times++) {
      signAt = clock.now;
      pass(2);
    }
    expect(pings).toBe(0);
    expect(dropped).toEqual([]);
  });

  test('bytes of its own answer count', () => {
    send();
    for (let times = 0; times < 10; times++) {
      pass(10);
      Object.assign(entries[0] ?? {}, { aliveAt: clock.now });
    }
    expect(dropped).toEqual([]);
  });

  test('a client that does not read stops the clock', () => {
    send();
    stalled = true;
    pass(60);
    expect(dropped).toEqual([]);
    stalled = false;
    pass(11);
    expect(dropped).toEqual([]);
    pass(1);
    expect(dropped).toHaveLength(2);
  });

  test.each([
    ['the wall clock ran ahead of the monotonic one', { now: 1000, wall: 3_600_000 }],
    ['the timer came late', { now: 60_000, wall: 60_000 }],
  ])('asleep (%s): doubted, pinged at once, trusted by a sign', async (_, passed) => {
    clock.now += passed.now;
    clock.wall += passed.wall;
    liveness.look();
    expect([doubted, pings]).toEqual([true, 0]);
    // What was in the socket before the sleep is read now: no sign of life.
    signAt = clock.now;
    await setImmediate();
    expect(pings).toBe(1);
    pass(1);
    expect(doubted).toBe(true);
    signAt = clock.now + 100;
    pass(1);
    expect(doubted).toBe(false);
    expect(dropped).toEqual([]);
  });

  test('asleep, and no sign within four seconds: dropped', async () => {
    clock.wall += 40_000;
    liveness.look();
    await setImmediate();
    pass(3);
    expect(dropped).toEqual([]);
    pass(2);
    expect(dropped).toEqual(['session']);
  });

  test('asleep with a call in flight: it has four seconds, not the time that it slept', () => {
    send();
    clock.now += 60_000;
    clock.wall += 60_000;
    liveness.look();
    expect(dropped).toEqual([]);
    pass(5);
    expect(dropped).toContain('request');
  });

  test('a wall clock set back, or ahead by less than half a minute, is no sleep', () => {
    clock.wall -= 86_400_000;
    liveness.look();
    clock.wall += 20_000;
    pass(3);
    expect([doubted, pings]).toEqual([false, 0]);
  });
});

test('a witness speaks for what was sent since it was opened, and for nothing older', () => {
  let now = 100;
  const witness = createWitness(() => now);
  expect(witness.lastSign(now)).toBe(Number.NEGATIVE_INFINITY);
  witness.opened();
  now = 150;
  witness.seen();
  expect(witness.lastSign(99)).toBe(Number.NEGATIVE_INFINITY);
  expect(witness.lastSign(100)).toBe(150);
  witness.closed();
  expect(witness.lastSign(120)).toBe(Number.NEGATIVE_INFINITY);
});

test('what may run twice: reading, and tools that say so', () => {
  let list: string | undefined;
  const may = createRepeatable(() => list);
  const call = (name: string) => may('tools/call', { params: { name } });
  expect([may('resources/read', {}), may('items/create', {}), call('read')]).toEqual([true, false, false]);
  list = JSON.stringify({
    tools: [
      { name: 'read', annotations: { readOnlyHint: true } },
      { name: 'set', annotations: { idempotentHint: true } },
      { name: 'count', annotations: { readOnlyHint: false } },
      { name: 'plain' },
    ],
  });
  expect(['read', 'set', 'count', 'plain', 'unknown'].map(call)).toEqual([true, true, false, false, false]);
  list = JSON.stringify({ tools: [{ name: 'read' }] });
  expect(call('read')).toBe(false);
});

test('a new connection gets the last level and the living subscriptions; the first one nothing', () => {
  const asked: string[] = [];
  const renewals = createRenewals((method, params) => asked.push(`${method} ${JSON.stringify(params)}`));
  renewals.renew();
  renewals.note('logging/setLevel', { params: { level: 'info' } });
  renewals.note('logging/setLevel', { params: { level: 'debug' } });
  renewals.note('resources/subscribe', { params: { uri: 'a:1' } });
  renewals.note('resources/subscribe', { params: { uri: 'a:2' } });
  renewals.note('resources/unsubscribe', { params: { uri: 'a:1' } });
  expect(asked).toEqual([]);
  renewals.renew();
  expect(asked).toEqual(['logging/setLevel {"level":"debug"}', 'resources/subscribe {"uri":"a:2"}']);
});
