import { AppError } from '../../lib/errors.ts';

/** The end of one sign-in's patience: by time, or because somebody wants it to end. */
export interface Deadline {
  /** Aborted with the AppError that `ended` rejects with. */
  readonly signal: AbortSignal;
  /** Never resolves; rejects at the end. */
  readonly ended: Promise<never>;
  /** Ends it now, with this error. */
  end(error: AppError): void;
  /** It is not needed any more: no timer is left behind. */
  clear(): void;
}

/** In: `outer`, whose abort means `cancelled`; how long to wait; the error when that time is over. */
export function createDeadline(
  outer: AbortSignal | undefined,
  timeoutMs: number,
  timedOut: () => AppError,
): Deadline {
  const controller = new AbortController();
  let reject: (error: unknown) => void = () => {};
  const ended = new Promise<never>((_, fail) => {
    reject = fail;
  });
  ended.catch(() => {});
  const end = (error: AppError) => {
    clear();
    controller.abort(error);
    reject(error);
  };
  const cancel = () => end(new AppError('cancelled', 'the sign-in was cancelled'));
  const timer = setTimeout(() => end(timedOut()), timeoutMs);
  const clear = () => {
    clearTimeout(timer);
    outer?.removeEventListener('abort', cancel);
  };
  outer?.addEventListener('abort', cancel, { once: true });
  if (outer?.aborted) cancel();
  return { signal: controller.signal, ended, end, clear };
}
