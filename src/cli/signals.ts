import { AppError } from '../lib/errors.ts';

/** SIGBREAK: Windows' Ctrl-Break. Elsewhere there is no such signal. */
const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGBREAK: 130 } as const;
export type EndSignal = keyof typeof codes;

/** How long a command has to end by itself after a signal. Milliseconds. */
const patienceMs = 900;

/**
 * The signals that end a process, as something that a command can pass on and wait for.
 *
 * The first one aborts `aborted`; a command then winds up and returns. One that takes longer than 0.9 s, or a
 * second signal, ends the process at once with the same code.
 */
export interface Signals {
  readonly aborted: AbortSignal;
  /** The exit code of the signal that came; `undefined` as long as none did. */
  exitCode(): number | undefined;
  /**
   * Takes the signals over (`serve` drains first). The second signal still ends the process at once, unless it is one
   * of `lasting`: those are no end, however many come.
   */
  takeOver(handler: (signal: EndSignal) => void, lasting?: readonly EndSignal[]): void;
  /** Gives them back: from now on the rules above hold. */
  giveBack(): void;
  /** Ctrl-C, from a terminal that is read key by key and so sends no signal. */
  interrupt(): void;
}

export function listenForSignals(target: Pick<NodeJS.Process, 'on' | 'exit'>): Signals {
  const controller = new AbortController();
  let received: EndSignal | undefined;
  let handler: ((signal: EndSignal) => void) | undefined;
  let lasts: readonly EndSignal[] = [];

  const onSignal = (signal: EndSignal) => {
    if (handler && lasts.includes(signal)) return handler(signal);
    if (received) target.exit(codes[signal]);
    received = signal;
    if (handler) return handler(signal);
    controller.abort(new AppError('cancelled', 'cancelled'));
    setTimeout(() => target.exit(codes[signal]), patienceMs).unref();
  };
  for (const signal of Object.keys(codes) as EndSignal[]) target.on(signal, () => onSignal(signal));

  return {
    aborted: controller.signal,
    exitCode: () => received && codes[received],
    takeOver(given, lasting = []) {
      handler = given;
      lasts = lasting;
    },
    giveBack: () => {
      handler = undefined;
      lasts = [];
    },
    interrupt: () => onSignal('SIGINT'),
  };
}
