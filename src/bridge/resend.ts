import type { AppError } from '../lib/errors.ts';
import type { Failure } from './remote/failure.ts';

/** What to do about a request that did not come through. */
export type Step =
  | { readonly do: 'fail'; readonly error: AppError }
  /** Connect anew, then send it again. */
  | { readonly do: 'reconnect' }
  /** Send it again after a while. Milliseconds. */
  | { readonly do: 'wait'; readonly ms: number }
  /** It may have run, and may run twice: send it once more after a while. Milliseconds. */
  | { readonly do: 'repeat'; readonly ms: number }
  /** A person has to sign in (again, or for more scopes), then send it again. */
  | { readonly do: 'sign_in'; readonly error: AppError };

/** How often one request is sent at most, and how often a person signs in for it. */
const mostTries = 4;
const mostSignIns = 2;
/** The longest `Retry-After` that a call waits for. Milliseconds. */
export const longestWaitMs = 10_000;
/** The pause before a server that failed is asked the same again. Milliseconds. */
const repeatMs = 500;

export interface Sent {
  /** How often the request was sent. */
  readonly tries: number;
  /** How often a person has signed in for it. */
  readonly signIns: number;
  /** What it has waited already because the server asked for it. Milliseconds. */
  readonly waitedMs: number;
  /** Nothing happens twice when it runs twice, and it has not been repeated for that reason. */
  readonly repeatable: boolean;
}

/**
 * The one place that decides whether a request is sent again: where it has surely not run, because nothing was
 * sent, or because the server refused it before anything could run; and once where it may run twice. Else what
 * went out without an answer fails, and so does what has been sent often enough.
 */
export function nextStep(failure: Failure, { tries, signIns, waitedMs, repeatable }: Sent): Step {
  const fail: Step = { do: 'fail', error: failure.error };
  if (tries >= mostTries) return fail;
  switch (failure.reason) {
    case 'unreachable':
    case 'session':
      return { do: 'reconnect' };
    case 'auth':
    case 'forbidden':
      return signInHelps(failure.error, signIns) ? { do: 'sign_in', error: failure.error } : fail;
    case 'busy': {
      const ms = failure.retryAfterMs ?? longestWaitMs;
      return waitedMs + ms <= longestWaitMs ? { do: 'wait', ms } : fail;
    }
    case 'lost':
      return repeatable ? { do: 'repeat', ms: 0 } : fail;
    case 'status':
      return repeatable && mayPass(failure.status) ? { do: 'repeat', ms: repeatMs } : fail;
    case 'wrong_transport':
    case 'too_large':
      return fail;
  }
}

/** Whether a person who signs in, or signs in for more scopes, may bring a token that does. */
export function signInHelps({ code, scope }: AppError, signIns: number): boolean {
  const helps = code === 'not_signed_in' || (code === 'insufficient_scope' && scope !== undefined);
  return helps && signIns < mostSignIns;
}

const mayPass = (status = 0) => status === 429 || status >= 500;
