import { randomUUID } from 'node:crypto';
import type { Log } from '../../../lib/log.ts';
import type { Connection } from './connection.ts';
import { appendTo, inboxKey } from './keys.ts';

/** Times in milliseconds. */
const blockMs = 5_000;
const readLimit = blockMs + 2_000;
const acknowledgeAfter = 200;
const retryMs = 200;
const catchUpLimit = 2_000;
/** Replicas come and go; the longest silent ones are forgotten. */
const maxSenders = 1_000;
const mostAtOnce = '256';

export interface Inbox {
  /** The connection for reading is there, for the first time or again. */
  read(): void;
  /** The stream was made anew: its entries may have any id. */
  rewind(): void;
  /** Settles when all that has been appended so far is taken, or after a while. */
  caughtUp(): Promise<void>;
  /** Tells the senders what has been taken, and takes it out of Redis. */
  acknowledge(): Promise<void>;
  /** How old the last answer was when it was taken, by Redis's clock. Milliseconds. */
  lagMs(): number;
  close(): void;
}

export interface InboxOptions {
  readonly self: string;
  /** Blocked most of the time. */
  readonly reader: Connection;
  readonly redis: Connection;
  /** An answer for one of our streams, each exactly once and in the order in which it was sent. */
  deliver(from: string, n: number, mark: string, sealed: string): void;
  acknowledged(by: string, n: number): void;
  /** Another replica wants a stream of ours ended. */
  end(mark: string): void;
  readonly log: Log;
}

/** Reads what other replicas append for us: answers, acknowledgements of ours, and streams to be ended. */
export function createInbox(options: InboxOptions): Inbox {
  const { self, reader, redis, log } = options;
  const key = inboxKey(self);
  /** The highest number taken from each sender. */
  const taken = new Map<string, number>();
  const owed = new Set<string>();
  const marks = new Map<string, () => void>();
  let position = '0';
  let round = 0;
  let lagMs = 0;
  let timer: NodeJS.Timeout | undefined;

  async function follow(mine: number): Promise<void> {
    while (mine === round) {
      try {
        const read = ['XREAD', 'COUNT', mostAtOnce, 'BLOCK', String(blockMs), 'STREAMS', key, position];
        const reply = (await reader.send(read, readLimit)) as [string, [string, string[]][]][] | null;
        if (mine !== round) return;
        for (const [id, fields] of reply?.[0]?.[1] ?? []) {
          position = id;
          lagMs = Math.max(0, Date.now() - Number.parseInt(id, 10));
          take(fields);
        }
      } catch (error) {
        if (!reader.isUp() || mine !== round) return;
        log.debug('the inbox cannot be read', { error });
        await new Promise((resolve) => setTimeout(resolve, retryMs).unref());
      }
    }
  }

  function take(fields: readonly string[]): void {
    const entry: Record<string, string> = Object.create(null);
    for (let i = 0; i + 1 < fields.length; i += 2) entry[fields[i] ?? ''] = fields[i + 1] ?? '';
    const { t, f = '', n, s = '', d = '' } = entry;
    if (t === 'answer') takeAnswer(f, Number(n), Number(entry.p), s, d);
    else if (t === 'taken') options.acknowledged(f, Number(n));
    else if (t === 'end') options.end(s);
    else if (t === 'mark') marks.get(s)?.();
    soon();
  }

  function takeAnswer(from: string, n: number, before: number, mark: string, sealed: string): void {
    const last = taken.get(from) ?? 0;
    owed.add(from);
    // Appended once more after a loss, or behind one: then it comes again.
    if (!(n > last) || !(before <= last)) return;
    taken.delete(from);
    taken.set(from, n);
    if (taken.size > maxSenders) taken.delete(taken.keys().next().value ?? '');
    try {
      options.deliver(from, n, mark, sealed);
    } catch (error) {
      log.warn('an answer from another replica cannot be read', { replica: from, error });
    }
  }

  function soon(): void {
    timer ??= setTimeout(() => void acknowledge(), acknowledgeAfter).unref();
  }

  async function acknowledge(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    if (!redis.isUp()) {
      if (owed.size > 0) soon();
      return;
    }
    const to = [...owed];
    owed.clear();
    const told = to.map((replica) =>
      redis.send(appendTo(replica, ['t', 'taken', 'f', self, 'n', String(taken.get(replica) ?? 0)])),
    );
    const trimmed = redis.send(['XTRIM', key, 'MINID', after(position)]);
    // Who is not told appends again, and is told then.
    await Promise.allSettled([...told, trimmed]);
  }

  return {
    read() {
      position = '0';
      void follow(++round);
    },
    rewind() {
      position = '0';
    },
    async caughtUp() {
      const mark = randomUUID();
      const reached = new Promise<void>((resolve) => marks.set(mark, resolve));
      const late = new Promise<void>((resolve) => setTimeout(resolve, catchUpLimit).unref());
      const appended = redis.send(appendTo(self, ['t', 'mark', 's', mark]));
      await Promise.race([appended.then((id) => (id === null ? undefined : reached)).catch(() => {}), late]);
      marks.delete(mark);
    },
    acknowledge,
    lagMs: () => lagMs,
    close() {
      round++;
      clearTimeout(timer);
    },
  };
}

/** The least id that is greater than `id`. */
function after(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  return `${ms}-${BigInt(sequence) + 1n}`;
}
