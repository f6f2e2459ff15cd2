import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { Observer, VerificationEvent } from './events.ts';
import { clockSkew } from './jwt-claims.ts';
import type { Ruling } from './policy.ts';
import { createPrincipal, type Principal } from './principal.ts';
import { rejected } from './verifier.ts';

const maxAccepted = 10_000;
const maxRefused = 1_000;
/** Times in milliseconds. */
const keepRefusedMs = 5_000;
const keepStaleMs = 5_000;
const warnEveryMs = 60_000;

export interface Accepted {
  readonly outcome: 'accepted';
  readonly principal: Principal;
}

/** A ruling as it is remembered. */
export type Checked = Accepted | Refused;
type Refused = Exclude<Ruling, { outcome: 'accepted' }>;

interface Kept {
  readonly accepted: Accepted;
  /** The token's own end. Milliseconds since the epoch. */
  readonly expiresAt: number;
  freshUntil: number;
  readonly verifiedUntil: number;
}

/** Verdicts about tokens, remembered by the tokens' hashes. */
export interface VerdictCache {
  /**
   * The verdict about a token: at once when it is known.
   *
   * Rejects with AppError `issuer_unreachable` when there is none to be had.
   */
  check(token: string): Checked | Promise<Checked>;
}

export interface VerdictCacheOptions {
  readonly rule: (token: string) => Promise<Ruling>;
  /** How long a verdict that has run out may serve while the provider fails. Milliseconds. */
  readonly staleMs: number;
  readonly log: Log;
  readonly now: () => number;
  readonly observe: Observer;
}

/** Made once: most requests are hits. */
const told = {
  hit: { name: 'verdict_cache', result: 'hit' },
  negative: { name: 'verdict_cache', result: 'negative' },
  joined: { name: 'verdict_cache', result: 'joined' },
  miss: { name: 'verdict_cache', result: 'miss' },
  stale: { name: 'verdict_cache', result: 'stale' },
} as const satisfies Record<string, VerificationEvent>;

/**
 * Several requests with one new token cost one verification; a token in a retry loop costs one in 5 s. While
 * the provider fails, who was known stays known for a while, up to the token's own expiry.
 */
export function createVerdictCache({ rule, staleMs, log, now, observe }: VerdictCacheOptions): VerdictCache {
  const accepted = new LRUCache<string, Kept>({ max: maxAccepted });
  const refused = new LRUCache<string, { readonly ruling: Refused; readonly until: number }>({
    max: maxRefused,
  });
  const running = new Map<string, Promise<Checked>>();
  let warnedAt = Number.NEGATIVE_INFINITY;

  async function find(key: string, token: string): Promise<Checked> {
    let ruling: Ruling;
    try {
      ruling = await rule(token);
    } catch (error) {
      const stale =
        error instanceof AppError && error.code === 'issuer_unreachable' && serveStale(key, error);
      if (stale) return stale;
      throw error;
    }
    if (ruling.outcome === 'accepted') return keep(key, ruling);
    accepted.delete(key);
    refused.set(key, { ruling, until: now() + keepRefusedMs });
    return ruling;
  }

  function keep(key: string, { identity, keepMs }: Extract<Ruling, { outcome: 'accepted' }>): Checked {
    const until = now() + keepMs;
    const entry: Kept = {
      accepted: { outcome: 'accepted', principal: createPrincipal(identity) },
      expiresAt: identity.expiresAt === undefined ? Number.POSITIVE_INFINITY : identity.expiresAt * 1000,
      freshUntil: until,
      verifiedUntil: until,
    };
    accepted.set(key, entry);
    refused.delete(key);
    return entry.accepted;
  }

  function serveStale(key: string, error: AppError): Checked | undefined {
    const entry = accepted.get(key);
    const at = now();
    if (!entry || at >= entry.expiresAt || at - entry.verifiedUntil >= staleMs) return undefined;
    // The next calls need not wait for the provider either.
    entry.freshUntil = Math.min(at + keepStaleMs, entry.verifiedUntil + staleMs, entry.expiresAt);
    observe(told.stale);
    if (at - warnedAt >= warnEveryMs) {
      warnedAt = at;
      log.warn('tokens known from before are served while the authorization server fails', { error });
    }
    return entry.accepted;
  }

  return {
    check(token) {
      const key = createHash('sha256').update(token).digest('base64');
      const at = now();
      const entry = accepted.get(key);
      if (entry) {
        if (at >= entry.expiresAt + clockSkew * 1000) {
          accepted.delete(key);
          return rejected('The access token has expired');
        }
        if (at < entry.freshUntil) {
          observe(at < entry.verifiedUntil ? told.hit : told.stale);
          return entry.accepted;
        }
      }
      const no = refused.get(key);
      if (no && at < no.until) {
        observe(told.negative);
        return no.ruling;
      }
      const underWay = running.get(key);
      observe(underWay ? told.joined : told.miss);
      if (underWay) return underWay;
      const question = find(key, token).finally(() => running.delete(key));
      running.set(key, question);
      return question;
    },
  };
}
