import { AppError, hasCode, reasonOf } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import { bindingMissing } from './backend.ts';

/** What the bindings say when a person has to unlock, or did not want to. */
const locked =
  /locked|dismissed|interaction (is )?not allowed|cancell?ed|authorization|authentication|user name or passphrase/i;

/** What they say when there is no such service, or nothing in it that could hold an entry. */
const absent =
  /D-?Bus|autolaunch|not provided by any|ServiceUnknown|could not connect|connection refused|collection\/|no result found|no default keychain|keychain could not be found|not supported|logon session/i;

/** A reply that never came: the service exists and hangs. */
const silent = /did not receive a reply|timeout|timed out/i;

/** What a binding threw, in our words. In: anything. Out: `keychain_locked`, `_unavailable` or `vault_failed`. */
export function translateBindingError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const said = reasonOf(error);
  if (hasCode(error, bindingMissing)) return unavailable(said, error);
  if (silent.test(said)) return slow(undefined, error);
  if (locked.test(said)) {
    return new AppError('keychain_locked', 'the keychain is locked', { hint: unlockHint, cause: error });
  }
  if (absent.test(said)) return unavailable(said, error);
  return new AppError('vault_failed', `the keychain refused: ${display(said)}`, {
    hint: 'mcp-whoami doctor says more; --store file does without the keychain',
    cause: error,
  });
}

/** Of several bindings' errors the one worth showing: a locked keychain is there, whatever the other one says. */
export function worstOf(errors: readonly AppError[]): AppError {
  const byCode = (code: string) => errors.find((error) => error.code === code);
  const [first] = errors;
  return (
    byCode('keychain_locked') ??
    byCode('vault_failed') ??
    errors.find((error) => !hasCode(error.cause, bindingMissing)) ??
    first ??
    unavailable('no binding', undefined)
  );
}

export function slow(waitMs: number | undefined, cause?: unknown): AppError {
  const time = waitMs === undefined ? 'in time' : `within ${waitMs / 1000} s`;
  return new AppError(
    'keychain_locked',
    `the keychain did not answer ${time}; it may be asking to be unlocked`,
    {
      hint: unlockHint,
      cause,
    },
  );
}

/** The index knows of an entry that the keychain says it does not have. A locked one says that too. */
export function lost(cause?: unknown): AppError {
  return new AppError('keychain_locked', 'the keychain is locked, or the entry was removed', {
    hint: 'unlock the keychain and try again; if it is not locked, run mcp-whoami login',
    cause,
  });
}

function unavailable(said: string, cause: unknown): AppError {
  return new AppError('keychain_unavailable', `there is no keychain that we can use (${display(said)})`, {
    hint: 'use --store file, an encrypted file, or set up a keychain (on Linux a Secret Service, such as gnome-keyring)',
    cause,
  });
}

const unlockHint = 'unlock the keychain (a dialog may be waiting behind a window), then try again';
