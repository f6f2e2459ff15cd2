import { performance } from 'node:perf_hooks';
import { AppError, asAppError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { grantToClient } from './client-sign-in.ts';
import type { SignInEdges } from './edges.ts';
import { createSession, type Session } from './session.ts';
import { openTokenStore } from './tokens/token-store.ts';

/** After a sign-in that failed its error is told again for so long, before another is tried. Milliseconds. */
const pauseMs = 5_000;

/**
 * The access tokens of a client that signs in for itself: a session that needs no `login` before it. Where there
 * is nothing to renew, or the issuer has refused to, it signs in; once for all processes, and only when the
 * server wants a token.
 */
export function createClientSession(edges: SignInEdges, settings: SignInSettings): Session {
  const monotonic = edges.monotonic ?? (() => performance.now());
  const session = createSession(edges, settings);
  const store = openTokenStore(edges, settings);
  let flight: Promise<void> | undefined;
  let failed: { readonly error: AppError; readonly until: number } | undefined;

  async function renew(rejected: Secret | undefined): Promise<Secret> {
    try {
      return await session.renew(rejected);
    } catch (error) {
      if (asAppError(error).code !== 'not_signed_in') throw error;
      await signInOnce(rejected);
      return session.renew(rejected);
    }
  }

  function signInOnce(rejected: Secret | undefined): Promise<void> {
    if (failed && monotonic() < failed.until) throw failed.error;
    flight ??= store
      .alone(() => signIn(rejected))
      .catch((thrown: unknown) => {
        const error = notSignedIn(asAppError(thrown));
        failed = { error, until: monotonic() + pauseMs };
        throw error;
      })
      .finally(() => {
        flight = undefined;
      });
    return flight;
  }

  async function signIn(rejected: Secret | undefined): Promise<void> {
    const set = await store.load();
    // Another process was first.
    if (set && !set.dead && !set.accessToken.equals(rejected)) return;
    await grantToClient(edges, settings);
    edges.log.info(`signed in to ${settings.server.host} as the client itself`);
  }

  return { ...session, renew };
}

/** What is wrong usage for `login` leaves a session just as it was: signed out, with the same next step. */
function notSignedIn(error: AppError): AppError {
  return error.code === 'usage' ? new AppError('not_signed_in', error.message, { hint: error.hint }) : error;
}
