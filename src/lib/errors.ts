/**
 * Every way in which the product can fail, as one closed list: stable once released, printed by `--json`,
 * documented in the reference. Renderers (terminal, JSON-RPC, OAuth HTTP) switch over it exhaustively.
 */
export const errorCodes = [
  'usage',
  'not_signed_in',
  'sign_in_denied',
  'sign_in_timeout',
  'sign_in_failed',
  'server_unreachable',
  'issuer_unreachable',
  'not_mcp_server',
  'metadata_invalid',
  'pkce_unsupported',
  'registration_failed',
  'invalid_target',
  'token_rejected',
  'access_denied',
  'insufficient_scope',
  'insecure_url',
  'port_taken',
  'keychain_unavailable',
  'keychain_locked',
  'vault_failed',
  'lock_timeout',
  'too_large',
  'timeout',
  'remote_error',
  'cancelled',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export interface ErrorDetail {
  /** What to type or to change next, as one line. */
  readonly hint?: string | undefined;
  /** With `insufficient_scope`: what the server asks for, space separated (RFC 6750 3.1). */
  readonly scope?: string | undefined;
  /** The private reason: goes to the log at debug level, never to a wire or a page. */
  readonly cause?: unknown;
}

/** The one error class of the project: what happened, to whom, and what to type next. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly scope: string | undefined;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'AppError';
    this.code = code;
    this.hint = detail.hint;
    this.scope = detail.scope;
  }
}

/** `error` as an AppError: itself, or wrapped as `code` with its own message kept as the private cause. */
export function asAppError(error: unknown, code: ErrorCode = 'internal', message?: string): AppError {
  if (error instanceof AppError) return error;
  return new AppError(code, message ?? reasonOf(error), { cause: error });
}

/** The shortest honest text of an unknown thrown value: a system error's code where there is one. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (error instanceof Error) {
    const code = (error as NodeJS.ErrnoException).code;
    return error.message || code || error.name;
  }
  return String(error);
}

/** True for an error with one of the given system codes (`ECONNREFUSED`, `ENOENT` ...). */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && codes.includes(code);
}
