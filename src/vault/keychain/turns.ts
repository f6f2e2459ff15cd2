import type { KeychainBackend } from './backend.ts';
import { slow } from './errors.ts';

export type Turns = <T>(work: (backends: readonly KeychainBackend[]) => Promise<T>) => Promise<T>;

/**
 * Runs operations on the keychain one after the other, each for at most `waitMs` from the moment it was asked
 * for. One whose time is over takes no further step, and a step under way is abandoned: it must not write an
 * old value over a new one when the keychain is unlocked at last. Throws AppError `keychain_locked` then.
 */
export function createTurns(backends: readonly KeychainBackend[], waitMs: number): Turns {
  let last: Promise<unknown> = Promise.resolve();

  return async function run<T>(work: (backends: readonly KeychainBackend[]) => Promise<T>): Promise<T> {
    let state: 'waiting' | 'running' | 'over' = 'waiting';
    const inTime = <A extends unknown[], R>(step: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        if (state === 'over') throw slow(waitMs);
        return step(...args);
      };
    };
    const timed = backends.map((backend) => ({
      name: backend.name,
      get: inTime(backend.get),
      set: inTime(backend.set),
      delete: inTime(backend.delete),
    }));
    const turn = last.then(() => {
      if (state === 'over') throw slow(waitMs);
      state = 'running';
      return work(timed);
    });
    last = turn.catch(() => {});

    let timer: NodeJS.Timeout | undefined;
    const timeUp = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const started = state === 'running';
        state = 'over';
        if (started) for (const backend of backends) backend.abandon?.();
        reject(slow(waitMs));
      }, waitMs);
    });
    try {
      return await Promise.race([turn, timeUp]);
    } finally {
      state = 'over';
      clearTimeout(timer);
    }
  };
}
