import { type AppError, asAppError, type ErrorCode } from '../lib/errors.ts';
import { display } from '../lib/text.ts';

/** JSON-RPC's codes, and ours from the range that JSON-RPC 2.0 section 5.1 leaves to servers. */
export const rpcCodes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  internal: -32603,
  unavailable: -32000,
  /** The request went out and no answer will come: it may or may not have run. */
  lost: -32001,
  /** Nobody is signed in, or the sign-in cannot be used. */
  signedOut: -32002,
} as const;

/** Where a program finds the code of our own failure in a tool's result, beside the sentence for the model. */
export const errorMeta = 'mcp-whoami/error';

/** The JSON-RPC code of each failure. */
export function rpcCodeOf(code: ErrorCode): number {
  switch (code) {
    case 'not_signed_in':
    case 'sign_in_denied':
    case 'sign_in_timeout':
    case 'sign_in_failed':
    case 'token_rejected':
    case 'keychain_unavailable':
    case 'keychain_locked':
    case 'vault_failed':
    case 'lock_timeout':
      return rpcCodes.signedOut;
    case 'remote_error':
    case 'timeout':
      return rpcCodes.lost;
    case 'too_large':
    case 'internal':
      return rpcCodes.internal;
    case 'usage':
      return rpcCodes.invalidRequest;
    case 'server_unreachable':
    case 'issuer_unreachable':
    case 'not_mcp_server':
    case 'metadata_invalid':
    case 'pkce_unsupported':
    case 'registration_failed':
    case 'invalid_target':
    case 'access_denied':
    case 'insufficient_scope':
    case 'insecure_url':
    case 'port_taken':
    case 'cancelled':
      return rpcCodes.unavailable;
  }
}

/** A JSON-RPC error answer. `id` is source text. */
export function errorLine(id: string, thrown: unknown): string {
  const error = asAppError(thrown);
  const hint = hintOf(error);
  return rpcErrorLine(id, rpcCodeOf(error.code), sentence(error), {
    code: error.code,
    ...(hint ? { hint } : {}),
  });
}

export function rpcErrorLine(id: string, code: number, message: string, data?: object): string {
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify({ code, message, ...(data ? { data } : {}) })}}`;
}

/** A tool's own failure (`isError`): models read it and pass it on, while protocol errors stay unseen. */
export function toolErrorLine(id: string, thrown: unknown): string {
  const error = asAppError(thrown);
  const data = { code: error.code, message: display(error.message, 600), hint: hintOf(error) };
  return toolTextLine(id, sentence(error), true, { [errorMeta]: data });
}

export function toolTextLine(id: string, text: string, isError: boolean, meta?: object): string {
  const result = {
    content: [{ type: 'text', text }],
    ...(isError ? { isError } : {}),
    ...(meta ? { _meta: meta } : {}),
  };
  return `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(result)}}`;
}

/**
 * The answer to a failed request. A `tools/call` that surely did not run gets a result that the model can
 * read; one that may have run gets an error, as everything else does, so that no client takes it for done.
 */
export function failureLine(id: string, method: string, thrown: unknown): string {
  const error = asAppError(thrown);
  const code = rpcCodeOf(error.code);
  const notRun = code === rpcCodes.signedOut || code === rpcCodes.unavailable;
  return method === 'tools/call' && notRun ? toolErrorLine(id, error) : errorLine(id, error);
}

function sentence(error: AppError): string {
  const hint = hintOf(error);
  const message =
    error.code === 'internal' ? 'something went wrong in mcp-whoami' : display(error.message, 600);
  return hint ? `${message}. Next: ${hint}` : message;
}

function hintOf(error: AppError): string | undefined {
  if (error.code === 'internal') return 'run the bridge with --log-level debug and report what it prints';
  return error.hint === undefined ? undefined : display(error.hint, 600);
}
