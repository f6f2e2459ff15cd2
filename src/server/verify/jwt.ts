import { compactVerify, errors, type JWK } from 'jose';
import type { JsonObject } from '../../lib/json.ts';
import { decodeJwt } from '../../lib/jwt-text.ts';
import type { ExpectedAudience } from './audience.ts';
import { isAcceptedAlgorithm, type KeySet } from './jwks.ts';
import { claimsProblem, evidenceOf } from './jwt-claims.ts';
import { rejected, type Verifier } from './verifier.ts';

/** The verdict saves the signature check only; expiry is checked at every use. Milliseconds. */
const keepMs = 5 * 60_000;

export interface JwtVerifierOptions {
  readonly issuer: string;
  readonly audience: ExpectedAudience;
  readonly keys: KeySet;
  readonly now: () => number;
}

/** Verifies JWT access tokens (RFC 9068) by the provider's published keys. */
export function createJwtVerifier({ issuer, audience, keys, now }: JwtVerifierOptions): Verifier {
  return {
    async verify(token) {
      const jwt = decodeJwt(token);
      if (!jwt) return rejected('The access token is no JWT');
      // First what costs nothing: a token that is wrong anyway must not make us fetch keys.
      const problem = claimsProblem(jwt, { issuer, audience, now: now() / 1000 });
      if (problem) return rejected(problem);
      if (!(await isSignedBy(keys, token, jwt.header))) {
        return rejected('The signature of the access token is not valid');
      }
      return { outcome: 'accepted', evidence: evidenceOf(jwt.payload, issuer), keepMs };
    },
  };
}

/**
 * Whether one of the provider's keys signed the token. `kid` is only compared; `jku`, `x5u`, `jwk` and `x5c` in
 * the header mean nothing (RFC 8725 3.10). Throws AppError `issuer_unreachable` when the keys are not known.
 */
export async function isSignedBy(keys: KeySet, token: string, header: JsonObject): Promise<boolean> {
  const { alg, kid } = header;
  if (!isAcceptedAlgorithm(alg) || (kid !== undefined && typeof kid !== 'string')) return false;
  for (const key of await keys.candidates(kid, alg)) {
    try {
      await compactVerify(token, key as JWK, { algorithms: [alg] });
      return true;
    } catch (error) {
      // A key that cannot be used at all is the same as a key that did not sign: try the next one.
      if (
        !(error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException)
      ) {
        throw error;
      }
    }
  }
  return false;
}
