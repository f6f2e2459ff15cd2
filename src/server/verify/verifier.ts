import type { JsonObject } from '../../lib/json.ts';

/** What a verified token proves about whoever bears it. */
export interface Evidence {
  readonly issuer: string;
  readonly subject: string;
  readonly clientId: string | undefined;
  /** All that the token grants; `undefined` when the way of verification cannot tell. */
  readonly scopes: readonly string[] | undefined;
  /** Seconds since the epoch; `undefined` when the way of verification cannot tell. */
  readonly expiresAt: number | undefined;
  /** Everything that was proven, members about the token included: what `--allow` is judged by. */
  readonly claims: JsonObject;
  /** What is about the person, `sub` and `iss` included: what `whoami` may show. */
  readonly person: JsonObject;
}

/** What a verifier found out about an access token. `reason` is fixed ASCII text, fit for a challenge. */
export type Verdict =
  | {
      readonly outcome: 'accepted';
      readonly evidence: Evidence;
      /** How long the verdict may be kept, expiry aside. Milliseconds. */
      readonly keepMs: number;
    }
  | Rejected
  | { readonly outcome: 'insufficient_scope' };

export interface Rejected {
  readonly outcome: 'rejected';
  readonly reason: string;
}

/**
 * One way to verify an access token: by its signature, by the userinfo endpoint, by introspection.
 *
 * Throws AppError `issuer_unreachable` when there is no verdict because the authorization server could not be
 * asked: that is never the token's fault.
 */
export interface Verifier {
  verify(token: string): Promise<Verdict>;
}

export const rejected = (reason: string): Rejected => ({ outcome: 'rejected', reason });
