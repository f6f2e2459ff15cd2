import { performance } from 'node:perf_hooks';
import { marginOf } from '../auth/tokens/token-set.ts';
import type { AccessTokens } from '../lib/access.ts';
import { AppError, hasCode, reasonOf } from '../lib/errors.ts';
import { decodeJwt } from '../lib/jwt-text.ts';
import { commandWords, type Ended, runCommand } from '../lib/run-command.ts';
import { Secret } from '../lib/secret.ts';
import { display } from '../lib/text.ts';

export interface TokenCommandOptions {
  /** As the setting has it. */
  readonly command: string;
  /** The setting's name, to blame. */
  readonly from: string;
  readonly server: URL;
  readonly signal: AbortSignal;
  /** Wall clock, milliseconds since the epoch: tells how long a JWT serves from its receipt on. */
  readonly now: () => number;
  /** A clock that only goes forward, milliseconds. Default: `performance.now`. */
  readonly monotonic?: () => number;
}

const limits = { timeoutMs: 10_000, maxBytes: 16 * 1024 };

/**
 * Access tokens that a command prints (`--token-command`): run at the first request, kept in memory, and run once
 * more when the token is a JWT that is about to end, and for each 401; one run at a time, whoever asks. It
 * inherits no secret of ours, and the keychain is left in peace.
 *
 * `current` and `renew` throw AppError: `not_signed_in` (it cannot be started, fails, takes too long, prints no
 * token), `token_rejected` (the server refused a token, and the command gives the same one again), `cancelled`.
 */
export function tokensFromCommand(options: TokenCommandOptions): AccessTokens {
  const { server, from, now } = options;
  const monotonic = options.monotonic ?? (() => performance.now());
  let held: { readonly token: Secret; readonly until: number } | undefined;
  let flight: Promise<Secret> | undefined;

  function ask(): Promise<Secret> {
    flight ??= askCommand(options)
      .then((token) => {
        held = { token, until: monotonic() + servesFor(token, now()) };
        return token;
      })
      .finally(() => {
        flight = undefined;
      });
    return flight;
  }

  async function renew(rejected: Secret | undefined): Promise<Secret> {
    if (held && rejected && !held.token.equals(rejected)) return held.token;
    const token = await ask();
    if (!token.equals(rejected)) return token;
    throw new AppError(
      'token_rejected',
      `${server.href} refused the access token of ${from}, and the command gives the same one again`,
      { hint: 'see that the command gives a fresh token, made for that server' },
    );
  }

  return {
    current: async () => (held && monotonic() < held.until ? held.token : ask()),
    renew,
    insufficient: async () => ({ replaced: false, scopes: [] }),
  };
}

/** Milliseconds until another one is wanted. A JWT that has ended on arrival says that our clock is wrong. */
function servesFor(token: Secret, now: number): number {
  const lifetime = Number(decodeJwt(token.reveal())?.payload.exp) * 1000 - now;
  return lifetime > 0 ? lifetime - marginOf(lifetime) : Number.POSITIVE_INFINITY;
}

async function askCommand({ command, from, signal }: TokenCommandOptions): Promise<Secret> {
  const words = commandWords(command);
  const program = display(words[0], 80);
  const fails = (why: string, hint: string, cause?: unknown) =>
    new AppError('not_signed_in', `no access token from ${from}: ${why}`, { hint, cause });
  const tryIt = `run it in a terminal and see what it says; ${from} wants the access token, alone on one line`;
  let ended: Ended;
  try {
    ended = await runCommand(words, { ...limits, signal });
  } catch (error) {
    if (hasCode(error, 'cancelled')) throw error;
    if (hasCode(error, 'timeout', 'too_large')) throw fails(`"${program}": ${reasonOf(error)}`, tryIt);
    if (hasCode(error, 'ENOENT')) throw fails(`there is no program "${program}"`, noShell, error);
    throw fails(`"${program}" cannot be started (${display(reasonOf(error), 120)})`, noShell, error);
  }
  if (ended.code !== 0) {
    const how = ended.code === null ? 'was ended by a signal' : `ended with code ${ended.code}`;
    const said = lastWords(ended);
    throw fails(`"${program}" ${how}${said ? ` and said: ${said}` : ''}`, tryIt);
  }
  const lines = ended.stdout.split(/\r?\n/).filter((line) => line.trim() !== '');
  const token = lines[0]?.trim() ?? '';
  if (token === '') throw fails(`"${program}" printed nothing`, tryIt);
  if (lines.length > 1) throw fails(`"${program}" printed ${lines.length} lines`, tryIt);
  if (/^[\x21-\x7e]+$/.test(token)) return new Secret(token);
  throw fails(`what "${program}" printed is no access token`, tryIt);
}

const noShell =
  'give the program by its path, or as a word that PATH knows; put pipes and quotes into a script';

/** The last line of its standard error, without anything in it that may be a token. */
function lastWords({ stderr }: Ended): string {
  const line = stderr.trimEnd().split('\n').at(-1) ?? '';
  return display(
    line.replace(/[\w.~+/=-]{16,}/g, (word) => (/\d/.test(word) ? '[redacted]' : word)),
    200,
  );
}
