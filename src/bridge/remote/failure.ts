import { AppError, hasCode } from '../../lib/errors.ts';
import { describeNetworkError, isTlsRefusal, networkHint, neverSent } from '../../lib/network-error.ts';
import { display } from '../../lib/text.ts';

/** Why something did not come through. What may be done about it is decided in one place, `resend.ts`. */
export interface Failure {
  readonly reason: /** No connection, no name, no TLS: nothing was sent. */
    | 'unreachable'
    /** The gate refused us and there is no token that it would take; `error` says why. Nothing has run. */
    | 'auth'
    /** 403; `error` says whether scopes are wanting. Nothing has run. */
    | 'forbidden'
    /** The server has forgotten the MCP session (404). Nothing has run. */
    | 'session'
    /** 429, or 503, with `Retry-After`. Nothing has run. */
    | 'busy'
    /** Another status, a refused redirect. */
    | 'status'
    /** Nothing there speaks this transport. */
    | 'wrong_transport'
    /** It went out, and no answer will come. */
    | 'lost'
    /** The answer is over the limit. */
    | 'too_large';
  readonly error: AppError;
  readonly status?: number;
  /** The answer's body, when it was short. */
  readonly body?: string;
  /** With `busy`: how long the server wants us to wait. Milliseconds. */
  readonly retryAfterMs?: number;
}

export function isFailure(value: object): value is Failure {
  return 'reason' in value;
}

/** What a thrown network error means: never sent, or sent and lost. */
export function networkFailure(error: unknown, url: URL): Failure {
  if (error instanceof AppError && error.code === 'timeout') return lost(url, error);
  // A proxy that is not there, or finds no way: it may by the next try.
  if (error instanceof AppError) return { reason: neverSent(error.cause) ? 'unreachable' : 'status', error };
  if (isTlsRefusal(error)) return untrusted(url, error);
  return neverSent(error) ? unreachable(url, error) : lost(url, error);
}

/** Nothing was sent, and another try would end the same way: there is nothing to wait for. */
function untrusted(url: URL, cause: unknown): Failure {
  const error = new AppError('server_unreachable', describeNetworkError(cause, url), {
    hint: networkHint(cause),
    cause,
  });
  return { reason: 'status', error };
}

export function unreachable(url: URL, cause: unknown): Failure {
  const hint = isNameFailure(cause)
    ? 'are you offline? Check the network, and how the name is spelled, then try again'
    : 'start the server, or check its address and your network, then try again';
  const error = new AppError('server_unreachable', describeNetworkError(cause, url), { hint, cause });
  return { reason: 'unreachable', error };
}

/** The rule of the one text that nobody may misread: it went out, and nothing is known of its effect. */
export function lost(url: URL, cause?: unknown): Failure {
  const error = new AppError(
    'remote_error',
    `sent to ${url.host}, but no answer came back; it may have run`,
    {
      hint: 'check its effect before you repeat it',
      cause,
    },
  );
  return { reason: 'lost', error };
}

/** A complete answer that is not the one to the request. */
export function noAnswer(url: URL): Failure {
  const error = new AppError(
    'remote_error',
    `${url.host} answered with something that is no answer; it may have run`,
    {
      hint: "check its effect before you repeat it; the server's log tells more",
    },
  );
  return { reason: 'lost', error };
}

export function tooLarge(url: URL, maxBytes: number): Failure {
  const limit = Math.round((maxBytes / 1024 / 1024) * 10) / 10;
  const error = new AppError('too_large', `the answer of ${url.host} is larger than ${limit} MB`, {
    hint: 'allow more with --max-message',
  });
  return { reason: 'too_large', error };
}

/** The next step where something answers that is no MCP server. */
export const checkTheUrl = "check the URL: it is the server's MCP endpoint, often ending in /mcp or /sse";

/** An answer that no MCP server gives in this transport. */
export function notThisTransport(url: URL, got: string): Failure {
  const error = new AppError('not_mcp_server', `${url.href} is no MCP endpoint (${display(got, 120)})`, {
    hint: checkTheUrl,
  });
  return { reason: 'wrong_transport', error };
}

/** Why a request that has waited for `ms` was not sent at all. In: why the last try failed. */
export function notConnected(url: URL, last: AppError | undefined, ms: number): AppError {
  // What is said of a lost connection is not true of a request that never left.
  if (last && last.code !== 'remote_error' && last.code !== 'timeout') return last;
  const waited = `within ${Math.round(ms / 1000)} s`;
  const message = last
    ? `there was no connection to ${url.host} that lasted, ${waited}; the request was not sent`
    : `${url.host} has not answered ${waited}; the request was not sent`;
  return new AppError('server_unreachable', message, {
    hint: 'try again; if it stays so, see whether the server runs',
    cause: last,
  });
}

/** Whether a try to connect has failed for a reason that may pass without anybody doing anything. */
export function mayPass({ reason, status = 0 }: Failure): boolean {
  return ['unreachable', 'lost', 'busy', 'session'].includes(reason) || status >= 500;
}

/** There is no network, or no such name: that is told sooner. Milliseconds. */
const offlineMs = 5_000;

/** How long a request waits for a connection. In: why the last try failed, the longest wait. */
export function patienceAfter(last: AppError | undefined, mostMs: number): number {
  return isNameFailure(last?.cause) ? Math.min(mostMs, offlineMs) : mostMs;
}

const isNameFailure = (error: unknown) =>
  hasCode(error instanceof AggregateError ? error.errors[0] : error, 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH');
