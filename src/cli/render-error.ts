import { asAppError, type ErrorCode } from '../lib/errors.ts';
import { display, displayJson } from '../lib/text.ts';
import type { Context, ExitCode } from './context.ts';

/** The exit code of each failure (product contract, "Exit codes"). */
export function exitCodeOf(code: ErrorCode): ExitCode {
  switch (code) {
    case 'usage':
      return 2;
    case 'not_signed_in':
    case 'token_rejected':
      return 3;
    case 'server_unreachable':
    case 'issuer_unreachable':
      return 4;
    case 'cancelled':
      return 130;
    case 'sign_in_denied':
    case 'sign_in_timeout':
    case 'sign_in_failed':
    case 'not_mcp_server':
    case 'metadata_invalid':
    case 'pkce_unsupported':
    case 'registration_failed':
    case 'invalid_target':
    case 'access_denied':
    case 'insufficient_scope':
    case 'insecure_url':
    case 'port_taken':
    case 'keychain_unavailable':
    case 'keychain_locked':
    case 'vault_failed':
    case 'lock_timeout':
    case 'too_large':
    case 'timeout':
    case 'remote_error':
    case 'internal':
      return 1;
  }
}

/**
 * The terminal's view of a failure: what happened, what to type next; with `--json` one more line for scripts.
 * A stack trace appears at `--log-level debug` only.
 */
export function renderError(
  thrown: unknown,
  context: Context,
  how: { json: boolean; debug: boolean },
): ExitCode {
  const error = asAppError(thrown, 'internal');
  const signalled = context.signals.exitCode();
  if (error.code === 'cancelled') context.say('cancelled');
  else {
    context.say(`mcp-whoami: ${display(error.message, 600)}`);
    if (error.hint) context.say(`  → ${display(error.hint, 600)}`);
  }
  if (how.debug) for (let e: unknown = error; e instanceof Error; e = e.cause) context.say(traceOf(e));
  else if (error.code === 'internal' && !error.hint)
    context.say('  → run it again with --log-level debug and report what it prints');
  if (how.json) {
    const { code, message, hint } = error;
    context.say(displayJson({ error: { code, message: display(message, 600), ...(hint ? { hint } : {}) } }));
  }
  return signalled ?? exitCodeOf(error.code);
}

/** A trace whose message may quote somebody else's text: each line fit to be shown, and none like ours. */
function traceOf(error: Error): string {
  const [first, ...rest] = (error.stack ?? String(error)).split('\n');
  return [display(first, 1000), ...rest.map((line) => `    ${display(line, 300)}`)].join('\n');
}
