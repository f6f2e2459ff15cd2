import type { AppError } from '../lib/errors.ts';

/** Those who wait for a connection, in the order in which they came. */
export interface Waiters<T> {
  /** Waits until `resolve` or `reject`, at most `ms`; then it throws what `late` gives. */
  wait(ms: number, late: () => AppError): Promise<T>;
  /** Waits for news of any kind, at most `ms`. */
  news(ms: number): Promise<void>;
  resolve(value: T): void;
  /** There will be none for now: `error` tells why. */
  reject(error: AppError): void;
  /** A try has failed, and another one follows: news, but no end to the waiting. */
  tried(): void;
  readonly size: number;
}

export function createWaiters<T>(): Waiters<T> {
  const waiting = new Set<{ done(value: T): void; failed(error: AppError): void }>();
  const listening = new Set<() => void>();

  const tried = () => {
    for (const done of [...listening]) done();
  };

  return {
    wait: (ms, late) =>
      new Promise((resolve, reject) => {
        const leave = () => {
          clearTimeout(timer);
          waiting.delete(waiter);
        };
        const waiter = {
          done(value: T) {
            leave();
            resolve(value);
          },
          failed(error: AppError) {
            leave();
            reject(error);
          },
        };
        const timer = setTimeout(() => waiter.failed(late()), ms);
        waiting.add(waiter);
      }),
    news: (ms) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          listening.delete(done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        listening.add(done);
      }),
    resolve(value) {
      for (const waiter of [...waiting]) waiter.done(value);
      tried();
    },
    reject(error) {
      for (const waiter of [...waiting]) waiter.failed(error);
      tried();
    },
    tried,
    get size() {
      return waiting.size;
    },
  };
}
