import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { AppError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { clockSkew } from './jwt-claims.ts';
import { createPrincipal, type Principal } from './principal.ts';
import { rejected, type Verdict, type Verifier } from './verifier.ts';

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

export type Checked = Accepted | Exclude<Verdict, { outcome: 'accepted' }>;

interface Kept {
  readonly accepted: Accepted;
  /** The token's own end, clock skew included. Milliseconds since the epoch. */
  readonly endsAt: number;
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
  readonly verify: Verifier['verify'];
  /** How long a verdict that has run out may serve while the provider fails. Milliseconds. */
  readonly staleMs: number;
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Several requests with one new token cost one verification; a token in a retry loop costs one in 5 s. While
 * the provider fails, who was known stays known for a while, up to the token's own expiry.
 */
export function createVerdictCache({ verify, staleMs, log, now }: VerdictCacheOptions): VerdictCache {
  const accepted = new LRUCache<string, Kept>({ max: maxAccepted });
  const refused = new LRUCache<string, { readonly verdict: Checked; readonly until: number }>({
    max: maxRefused,
  });
  const running = new Map<string, Promise<Checked>>();
  let warnedAt = Number.NEGATIVE_INFINITY;

  async function find(key: string, token: string): Promise<Checked> {
    let verdict: Verdict;
    try {
      verdict = await verify(token);
    } catch (error) {
      const stale =
        error instanceof AppError && error.code === 'issuer_unreachable' && serveStale(key, error);
      if (stale) return stale;
      throw error;
    }
    if (verdict.outcome === 'accepted') return keep(key, verdict);
    accepted.delete(key);
    refused.set(key, { verdict, until: now() + keepRefusedMs });
    return verdict;
  }

  function keep(key: string, verdict: Extract<Verdict, { outcome: 'accepted' }>): Checked {
    const { identity, scopesKnown, keepMs } = verdict;
    const principal = createPrincipal(identity, scopesKnown);
    const endsAt =
      identity.expiresAt === undefined ? Number.POSITIVE_INFINITY : (identity.expiresAt + clockSkew) * 1000;
    const until = now() + keepMs;
    const entry: Kept = {
      accepted: { outcome: 'accepted', principal },
      endsAt,
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
    if (!entry || at >= entry.endsAt || at - entry.verifiedUntil >= staleMs) return undefined;
    // The next calls need not wait for the provider either.
    entry.freshUntil = at + Math.min(keepStaleMs, entry.verifiedUntil + staleMs - at);
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
        if (at >= entry.endsAt) {
          accepted.delete(key);
          return rejected('The access token has expired') as Checked;
        }
        if (at < entry.freshUntil) return entry.accepted;
      }
      const no = refused.get(key);
      if (no && at < no.until) return no.verdict;
      let question = running.get(key);
      if (!question) {
        question = find(key, token).finally(() => running.delete(key));
        running.set(key, question);
      }
      return question;
    },
  };
}
