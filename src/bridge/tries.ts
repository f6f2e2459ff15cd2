import { pause } from './deferred.ts';
import { createBackoff } from './remote/backoff.ts';

export interface TriesOptions {
  readonly now: () => number;
  readonly closed: AbortSignal;
  /** One try. Out: whether another one is of use without anybody doing anything. */
  attempt(): Promise<'again' | 'over'>;
}

/** Trying to connect until it succeeds: the first try at once, then with growing pauses. */
export interface Tries {
  readonly running: boolean;
  /** Settles when it is over. */
  start(): Promise<void>;
  /** Somebody waits: the next try is made now. */
  hurry(): void;
  /** The connection was a good one: the next loss starts without a pause again. */
  steady(): void;
}

/** Two tries are at least so far apart, however many requests ask for one. Milliseconds. */
const leastGapMs = 100;

export function createTries({ now, closed, attempt }: TriesOptions): Tries {
  const backoff = createBackoff();
  let running = false;
  let wake = new AbortController();
  let hurry = false;
  let lastAt = Number.NEGATIVE_INFINITY;
  closed.addEventListener('abort', () => wake.abort());

  async function start(): Promise<void> {
    if (running) return;
    running = true;
    while (!closed.aborted) {
      wake = new AbortController();
      const waitMs = hurry ? 0 : backoff.next();
      if (waitMs > 0) await pause(waitMs, wake.signal);
      const gapMs = leastGapMs - (now() - lastAt);
      if (gapMs > 0) await pause(gapMs, closed);
      if (closed.aborted) break;
      lastAt = now();
      hurry = false;
      if ((await attempt()) === 'over') break;
    }
    running = false;
  }

  return {
    get running() {
      return running;
    },
    start,
    hurry() {
      hurry = true;
      wake.abort();
    },
    steady: backoff.reset,
  };
}
