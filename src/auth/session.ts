import { performance } from 'node:perf_hooks';
import { type AccessTokens, BoundToken, type Granted } from '../lib/access.ts';
import { commandLine } from '../lib/command-line.ts';
import { AppError, asAppError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import { refreshTokenAdvice } from './advice.ts';
import { openRegistrations } from './client/registrations.ts';
import { createReach } from './discovery/reach.ts';
import { createProver, type Prover } from './dpop/prover.ts';
import type { SignInEdges } from './edges.ts';
import { refresh } from './tokens/refresh.ts';
import { createStrikes } from './tokens/strikes.ts';
import { isRenewable, marginOf, type TokenSet } from './tokens/token-set.ts';
import { openTokenStore } from './tokens/token-store.ts';

export interface Session extends AccessTokens {
  /** Tries once more to save what a full or locked store did not take. For the end of the process. */
  settle(): Promise<void>;
}

type Settings = Pick<SignInSettings, 'server' | 'profile' | 'allowHttp' | 'allowPrivateNetwork'>;

/** A set in use. `receivedHere`: on the monotonic clock; undefined when it was read from the vault. */
interface Held {
  readonly set: TokenSet;
  readonly receivedHere: number | undefined;
  /** The access token as a request carries it. */
  readonly token: Secret;
}

/** Pause after a renewal that failed while the token still serves. Milliseconds. */
const pauseMs = 5_000;

/**
 * The access tokens of one person's sign-in: fresh, refreshed once across all processes, or a typed error.
 *
 * Renewal is single flight in this process and under a lock between processes: the holder reads the vault
 * again, refreshes only what nobody else has, and writes before it lets go.
 */
export function createSession(edges: SignInEdges, settings: Settings): Session {
  const { now, log, http } = edges;
  const monotonic = edges.monotonic ?? (() => performance.now());
  const store = openTokenStore(edges, settings);
  const strikes = createStrikes(monotonic, settings.server);
  let held: Held | undefined;
  let flight: Promise<Secret> | undefined;
  let unsaved: { readonly set: TokenSet; readonly base: Secret } | undefined;
  let pauseUntil = 0;
  /** Of the key in use: it knows the nonces of the server, which outlast a token. */
  let prover: Prover | undefined;

  const hint = `run ${commandLine('login', settings)}`;
  const hold = (set: TokenSet, receivedHere?: number): Secret => {
    held = { set, receivedHere, token: present(set) };
    return held.token;
  };

  function proverOf({ boundTo: key }: TokenSet): Prover | undefined {
    if (key && !prover?.key.jwk.equals(key.jwk)) prover = createProver(key, now);
    return key && prover;
  }

  function present(set: TokenSet): Secret {
    const proofs = proverOf(set);
    return proofs ? new BoundToken(set.accessToken, proofs) : set.accessToken;
  }

  /** Milliseconds that the token still serves: by the clock since receipt, a stored one by wall time. */
  function left({ set, receivedHere }: Held): number {
    if (set.lifetimeMs === undefined) return Number.POSITIVE_INFINITY;
    if (receivedHere !== undefined) return receivedHere + set.lifetimeMs - monotonic();
    return set.receivedAt + set.lifetimeMs - now();
  }
  const isDue = (it: Held) => it.set.lifetimeMs !== undefined && left(it) <= marginOf(it.set.lifetimeMs);

  async function current(): Promise<Secret | undefined> {
    // A set that cannot be renewed may have been replaced by a new sign-in meanwhile.
    if (!held || (isDue(held) && !isRenewable(held.set))) {
      const set = await store.load();
      if (!set) held = undefined;
      else if (!held || !set.accessToken.equals(held.set.accessToken)) hold(set);
    }
    if (!held) return undefined;
    const { set, token } = held;
    if (!isRenewable(set) || !isDue(held) || monotonic() < pauseUntil) return strikes.handedOut(token);
    try {
      return strikes.handedOut(await renewOnce(set.accessToken));
    } catch (error) {
      // Refused for good: the server's 401 and `renew` say so. Else the old token serves to its end.
      if (asAppError(error).code !== 'not_signed_in' && left(held) <= 0) throw error;
      pauseUntil = monotonic() + pauseMs;
      log.debug('the access token was not renewed', { reason: error });
      return strikes.handedOut(token);
    }
  }

  async function renew(rejected: Secret | undefined): Promise<Secret> {
    if (rejected) strikes.rejected(rejected);
    if (held && rejected && !held.set.accessToken.equals(rejected) && !held.set.dead) {
      return strikes.handedOut(held.token);
    }
    const token = await renewOnce(rejected);
    return strikes.handedOut(rejected?.equals(token) ? await renewOnce(rejected) : token);
  }

  async function insufficient(token: Secret): Promise<Granted> {
    const set = await store.load();
    const replaced = set !== undefined && !set.dead && !set.accessToken.equals(token);
    if (replaced) hold(set);
    return { replaced, scopes: set?.scope.split(' ').filter(Boolean) ?? [] };
  }

  function renewOnce(rejected: Secret | undefined): Promise<Secret> {
    flight ??= store
      .alone(() => renewAlone(rejected))
      .finally(() => {
        flight = undefined;
      });
    return flight;
  }

  async function renewAlone(rejected: Secret | undefined): Promise<Secret> {
    const set = await latest();
    if (!set) {
      held = undefined;
      throw new AppError('not_signed_in', `you are not signed in to ${settings.server.href}`, { hint });
    }
    const found = held?.set.accessToken.equals(set.accessToken)
      ? { ...held, set }
      : { set, receivedHere: undefined, token: present(set) };
    const other = !rejected || !set.accessToken.equals(rejected);
    if (set.dead) throw ended(set, 'was ended there');
    if (other && !(isDue(found) && isRenewable(set))) return hold(set, found.receivedHere);
    if (!isRenewable(set)) {
      throw ended(set, 'has run out, and came without a refresh token', `${hint}; ${refreshTokenAdvice}`);
    }
    held = found;
    // Its endpoint was checked when the person signed in: what allowed it then may not be told again now.
    const allowHttp = [...settings.allowHttp, new URL(set.tokenEndpoint).origin];
    const reach = createReach(http, { ...settings, allowHttp });
    const outcome = await refresh(reach, set, now, hint, proverOf(set));
    if ('refused' in outcome) return buried(set, outcome.refused.error);
    await keep(outcome, set.accessToken);
    log.debug('the access token was renewed', { issuer: set.issuer });
    return hold(outcome, monotonic());
  }

  /** What the vault holds, or what it did not take from us and nobody has replaced since. */
  async function latest(): Promise<TokenSet | undefined> {
    const stored = await store.load();
    if (!unsaved || !stored?.accessToken.equals(unsaved.base)) {
      unsaved = undefined;
      return stored;
    }
    const { set, base } = unsaved;
    await keep(set, base);
    return set;
  }

  async function keep(set: TokenSet, base: Secret): Promise<void> {
    try {
      await store.save(set);
      unsaved = undefined;
    } catch (error) {
      unsaved = { set, base };
      log.warn('the renewed tokens could not be saved; this process keeps them in memory', { reason: error });
    }
  }

  async function buried(set: TokenSet, reason: string | undefined): Promise<never> {
    const dead = { ...set, dead: true };
    hold(dead, held?.receivedHere);
    try {
      await store.save(dead);
      if (reason === 'invalid_client' && set.client.dynamic) {
        await openRegistrations(edges).remove(set.issuer, set.client.id);
      }
    } catch (error) {
      log.warn('the end of the sign-in could not be noted', { reason: error });
    }
    throw ended(set, `was ended there${reason ? ` (${display(reason, 80)})` : ''}`);
  }

  const ended = ({ issuer }: TokenSet, how: string, whatNext = hint) =>
    new AppError(
      'not_signed_in',
      `your sign-in to ${settings.server.href} at ${display(issuer)} ${how}: sign in again`,
      { hint: whatNext },
    );

  async function settle(): Promise<void> {
    if (unsaved) await store.alone(latest);
  }

  return { current, renew, insufficient, settle };
}
