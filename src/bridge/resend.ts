import type { AppError } from '../lib/errors.ts';
import type { Failure } from './remote/transport.ts';

/** What to do about a request that did not come through. */
export type Step =
  | { readonly do: 'fail'; readonly error: AppError }
  /** Connect anew, then send it again. */
  | { readonly do: 'reconnect' }
  /** Send it again after a while. Milliseconds. */
  | { readonly do: 'wait'; readonly ms: number }
  /** A person has to sign in (again), then send it again. */
  | { readonly do: 'sign_in'; readonly error: AppError };

/** How often one request is sent at most. */
const mostTries = 4;
/** The longest `Retry-After` that a call waits for. Milliseconds. */
export const longestWaitMs = 10_000;

/**
 * The one place that decides whether a request is sent again: only where it has surely not run, because nothing
 * was sent, or because the server refused it before anything could run. What went out without an answer fails,
 * and so does what has been sent often enough.
 *
 * In: the failure, how often the request was sent, the time that it has waited already. Milliseconds.
 */
export function nextStep(failure: Failure, tries: number, waitedMs: number): Step {
  const fail: Step = { do: 'fail', error: failure.error };
  if (tries >= mostTries) return fail;
  switch (failure.reason) {
    case 'unreachable':
    case 'session':
      return { do: 'reconnect' };
    case 'auth':
      return failure.error.code === 'not_signed_in' ? { do: 'sign_in', error: failure.error } : fail;
    case 'busy': {
      const ms = failure.retryAfterMs ?? longestWaitMs;
      return waitedMs + ms <= longestWaitMs ? { do: 'wait', ms } : fail;
    }
    case 'forbidden':
    case 'status':
    case 'wrong_transport':
    case 'lost':
    case 'too_large':
      return fail;
  }
}
