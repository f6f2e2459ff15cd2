import type { Log } from '../../../lib/log.ts';
import type { Connection } from './connection.ts';
import { appendTo } from './keys.ts';

/** Times in milliseconds. */
const tickMs = 500;
/** An answer that was not acknowledged for so long is appended again. */
const againAfter = 2_000;
/** No client waits longer for an answer. */
const keptFor = 10 * 60_000;
const maxKept = 20_000;
const maxBytes = 64 * 1024 * 1024;

interface Entry {
  readonly n: number;
  readonly mark: string;
  readonly sealed: string;
  readonly at: number;
}

/** What is on its way to one other replica, in its order. */
interface Lane {
  readonly entries: Entry[];
  sentAt: number;
  /** Something was not appended: the rest would be out of order until all is appended again. */
  broken: boolean;
}

/** Answers for streams of other replicas: kept until the replica that holds the stream has taken them. */
export interface Outbox {
  /** Whether an answer for that replica can be kept and appended. Where it cannot, nothing may run. */
  canTake(replica: string): boolean;
  /**
   * Keeps an answer and appends it, sealed by `seal` under the number it gets. Settles when it was appended, or
   * cannot be for now.
   */
  add(replica: string, mark: string, seal: (n: number) => string): Promise<void>;
  /** The replica has all up to `n`. */
  acknowledged(replica: string, n: number): void;
  /** Appends again what may have been lost with the connection or with Redis itself. */
  appendAgain(): void;
  size(): number;
  /** Settles when all is appended, or after a while. */
  settle(limitMs: number): Promise<void>;
  close(): void;
}

export interface OutboxOptions {
  readonly self: string;
  readonly redis: Connection;
  /** Whether a replica lives; rejects where nobody knows. */
  readonly isAlive: (replica: string) => Promise<boolean>;
  readonly log: Log;
}

/**
 * Go-back-N: each entry names the one before it that is not acknowledged yet, the replica takes entries in that
 * order alone, and after a gap all are appended again from the first.
 */
export function createOutbox({ self, redis, isAlive, log }: OutboxOptions): Outbox {
  const lanes = new Map<string, Lane>();
  let last = 0;
  let kept = 0;
  let bytes = 0;
  const timer = setInterval(tick, tickMs).unref();

  function append(replica: string, lane: Lane, index: number): Promise<void> {
    const entry = lane.entries[index];
    if (!entry) return Promise.resolve();
    const before = lane.entries[index - 1]?.n ?? 0;
    const fields = ['t', 'answer', 'f', self, 'n', String(entry.n), 'p', String(before)];
    return redis.send(appendTo(replica, [...fields, 's', entry.mark, 'd', entry.sealed])).then(
      (id) => {
        if (id === null) lane.broken = true;
      },
      () => {
        lane.broken = true;
      },
    );
  }

  function appendAll(replica: string, lane: Lane): Promise<void>[] {
    lane.broken = false;
    lane.sentAt = performance.now();
    return lane.entries.map((_, index) => append(replica, lane, index));
  }

  function drop(lane: Lane, replica: string, most: (entry: Entry) => boolean): number {
    let dropped = 0;
    for (let first = lane.entries[0]; first && most(first); first = lane.entries[0]) {
      lane.entries.shift();
      bytes -= first.sealed.length;
      dropped++;
    }
    kept -= dropped;
    if (lane.entries.length === 0) lanes.delete(replica);
    return dropped;
  }

  async function look(replica: string, lane: Lane): Promise<void> {
    const now = performance.now();
    const old = drop(lane, replica, (entry) => now - entry.at > keptFor);
    if (old > 0) log.warn('answers for another replica were given up', { answers: old });
    const wait = lane.broken ? tickMs / 2 : againAfter;
    if (lane.entries.length === 0 || now - lane.sentAt < wait) return;
    lane.sentAt = now;
    const alive = await isAlive(replica).catch(() => undefined);
    if (alive === false) {
      const answers = drop(lane, replica, () => true);
      log.info('another replica is gone, and the streams it held', { replica, answers });
    } else if (alive) await Promise.all(appendAll(replica, lane));
  }

  function tick(): void {
    if (!redis.isUp()) return;
    for (const [replica, lane] of lanes) void look(replica, lane);
  }

  return {
    canTake: (replica) => kept < maxKept && bytes < maxBytes && !lanes.get(replica)?.broken,
    add(replica, mark, seal) {
      const n = ++last;
      const sealed = seal(n);
      let lane = lanes.get(replica);
      if (!lane) {
        lane = { entries: [], sentAt: performance.now(), broken: false };
        lanes.set(replica, lane);
      }
      lane.entries.push({ n, mark, sealed, at: performance.now() });
      kept++;
      bytes += sealed.length;
      if (lane.broken) return Promise.resolve();
      if (lane.entries.length === 1) lane.sentAt = performance.now();
      return append(replica, lane, lane.entries.length - 1);
    },
    acknowledged(replica, n) {
      const lane = lanes.get(replica);
      if (!lane) return;
      // What is left is as old as this sign of life, not as what went before it.
      if (drop(lane, replica, (entry) => entry.n <= n) > 0) lane.sentAt = performance.now();
    },
    appendAgain() {
      for (const [replica, lane] of lanes) void Promise.all(appendAll(replica, lane));
    },
    size: () => kept,
    async settle(limitMs) {
      const until = performance.now() + limitMs;
      while ([...lanes.values()].some(({ broken }) => broken) && performance.now() < until) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    close: () => clearInterval(timer),
  };
}
