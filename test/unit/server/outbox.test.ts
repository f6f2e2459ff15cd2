import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import type { Connection } from '../../../src/server/sessions/redis/connection.ts';
import { createOutbox, type Outbox } from '../../../src/server/sessions/redis/outbox.ts';

/** The numbers in the fields of an append: which answer it is, and the one before it. */
const numbers = (command: readonly string[]) => {
  const fields = command.slice(command.indexOf('*') + 1);
  const value = (name: string) => Number(fields[fields.indexOf(name) + 1]);
  return [value('n'), value('p')];
};

describe('answers that other replicas have not acknowledged', () => {
  let sent: (readonly string[])[];
  let reply: () => Promise<unknown>;
  let alive: boolean | undefined;
  let outbox: Outbox;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    sent = [];
    reply = async () => '1-1';
    alive = true;
    const redis: Connection = {
      isUp: () => true,
      isLate: () => false,
      send(command) {
        sent.push(command);
        return reply();
      },
      close: () => {},
    };
    const isAlive = async () => {
      if (alive === undefined) throw new Error('nobody knows');
      return alive;
    };
    outbox = createOutbox({ self: 'us', redis, isAlive, log: silentLog });
  });
  afterEach(() => {
    outbox.close();
    vi.useRealTimers();
  });

  const add = (text = 'x', to = 'them') => outbox.add(to, 'mark', () => text);
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test('each names the one before it that is not acknowledged', async () => {
    for (let i = 0; i < 3; i++) await add();
    expect(sent.map(numbers)).toEqual([
      [1, 0],
      [2, 1],
      [3, 2],
    ]);
    outbox.acknowledged('them', 2);
    await add();
    expect(sent.map(numbers).at(-1)).toEqual([4, 3]);
    outbox.acknowledged('them', 4);
    await add();
    expect(sent.map(numbers).at(-1)).toEqual([5, 0]);
  });

  test('after a failure nothing may run for that replica until all is appended again, from the first', async () => {
    await add();
    reply = () => Promise.reject(new Error('cut'));
    await add();
    expect([outbox.canTake('them'), outbox.canTake('others')]).toEqual([false, true]);
    reply = async () => '1-2';
    sent = [];
    await pass(1_000);
    expect(sent.map(numbers)).toEqual([
      [1, 0],
      [2, 1],
    ]);
    expect(outbox.canTake('them')).toBe(true);
  });

  test('what is not acknowledged for 2 s is appended again; what is, is not', async () => {
    await add();
    sent = [];
    await pass(1_500);
    expect(sent).toEqual([]);
    await pass(1_500);
    expect(sent.map(numbers)).toEqual([[1, 0]]);
    outbox.acknowledged('them', 1);
    sent = [];
    await pass(10_000);
    expect([sent, outbox.size()]).toEqual([[], 0]);
  });

  test('a replica that is gone gets nothing more; while nobody knows, all is kept', async () => {
    await add();
    alive = undefined;
    await pass(10_000);
    expect(outbox.size()).toBe(1);
    alive = false;
    await pass(5_000);
    expect(outbox.size()).toBe(0);
  });

  test('nothing is kept for longer than ten minutes', async () => {
    alive = undefined;
    await add();
    await pass(590_000);
    expect(outbox.size()).toBe(1);
    await pass(11_000);
    expect(outbox.size()).toBe(0);
  });

  test('20,000 answers or 64 MB are the most', async () => {
    for (let i = 0; i < 20_000; i++) void add();
    expect(outbox.canTake('others')).toBe(false);
    outbox.acknowledged('them', 10_000);
    expect([outbox.canTake('others'), outbox.size()]).toEqual([true, 10_000]);
    outbox.acknowledged('them', 20_000);
    for (let i = 0; i < 64; i++) void add('y'.repeat(1024 * 1024));
    expect(outbox.canTake('others')).toBe(false);
    outbox.acknowledged('them', 20_001);
    expect(outbox.canTake('others')).toBe(true);
  });
});
