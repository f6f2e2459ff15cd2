import type { Identity } from '../../lib/access.ts';

/** What a verifier found out about an access token. `reason` is fixed ASCII text, fit for a challenge. */
export type Verdict =
  | {
      readonly outcome: 'accepted';
      readonly identity: Identity;
      /** Whether `identity.scopes` is all that the token grants. */
      readonly scopesKnown: boolean;
      /** How long the verdict may be kept, expiry aside. Milliseconds. */
      readonly keepMs: number;
    }
  | { readonly outcome: 'rejected'; readonly reason: string }
  | { readonly outcome: 'insufficient_scope' };

/**
 * One way to verify an access token: by its signature, by the userinfo endpoint, by introspection.
 *
 * Throws AppError `issuer_unreachable` when there is no verdict because the authorization server could not be
 * asked: that is never the token's fault.
 */
export interface Verifier {
  verify(token: string): Promise<Verdict>;
}

export const rejected = (reason: string): Verdict => ({ outcome: 'rejected', reason });
