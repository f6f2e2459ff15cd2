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
  /** Takes the signals over (`serve` drains first). The second signal still ends the process at once. */
  takeOver(handler: (signal: EndSignal) => void): void;
  /** Gives them back: from now on the rules above hold. */
  giveBack(): void;
  /** Ctrl-C, from a terminal that is read key by key and so sends no signal. */
  interrupt(): void;
}

export function listenForSignals(target: Pick<NodeJS.Process, 'on' | 'exit'>): Signals {
  const controller = new AbortController();
  let received: EndSignal | undefined;
  let handler: ((signal: EndSignal) => void) | undefined;

  const onSignal = (signal: EndSignal) => {
    if (received) target.exit(codes[signal]);
    if (handler) {
      // A server re-reads its configuration at SIGHUP and lives on; the others are its last.
      if (signal !== 'SIGHUP') received = signal;
      handler(signal);
      return;
    }
    received = signal;
    controller.abort(new AppError('cancelled', 'cancelled'));
    setTimeout(() => target.exit(codes[signal]), patienceMs).unref();
  };
  for (const signal of Object.keys(codes) as EndSignal[]) target.on(signal, () => onSignal(signal));

  return {
    aborted: controller.signal,
    exitCode: () => received && codes[received],
    takeOver: (given) => {
      handler = given;
    },
    giveBack: () => {
      handler = undefined;
    },
    interrupt: () => onSignal('SIGINT'),
  };
}
