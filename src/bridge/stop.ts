/**
 * A way to break off one request. An AbortSignal would do, but each costs more than the rest of the bookkeeping
 * of a call: one is made here only for those who ask for it.
 */
export interface Stop {
  readonly stopped: boolean;
  readonly signal: AbortSignal;
  /** What `stop` has to end; the latest one counts. */
  attach(end: (reason: Error) => void): void;
  /** Ends what is attached as a failure; what comes after it may be attached and go on. */
  breakOff(): void;
  stop(): void;
}

export function createStop(): Stop {
  let stopped = false;
  let end: ((reason: Error) => void) | undefined;
  let controller: AbortController | undefined;
  return {
    get stopped() {
      return stopped;
    },
    get signal() {
      controller ??= new AbortController();
      if (stopped) controller.abort();
      return controller.signal;
    },
    attach(given) {
      end = given;
      if (stopped) given(new Error('not wanted any more'));
    },
    breakOff: () => end?.(new Error('the connection is lost')),
    stop() {
      if (stopped) return;
      stopped = true;
      end?.(new Error('not wanted any more'));
      controller?.abort();
    },
  };
}
