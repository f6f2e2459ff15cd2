import type { Answer } from '../../lib/http.ts';
import { type JsonObject, parseJsonObject } from '../../lib/json.ts';
import type { KeySet } from './jwks.ts';
import { isSignedBy } from './jwt.ts';
import { bindingProblem, timeProblem } from './jwt-claims.ts';
import { decodeJwt } from './jwt-text.ts';
import { type Questions, unanswered } from './questions.ts';
import { rejected, type Verdict, type Verifier } from './verifier.ts';

/** The price of not asking each time: a revoked token works for this much longer. Milliseconds. */
const keepMs = 60_000;

export interface UserinfoVerifierOptions {
  readonly issuer: string;
  readonly url: URL;
  readonly questions: Questions;
  /** For signed answers; `undefined` when the provider publishes no keys. */
  readonly keys: KeySet | undefined;
  readonly now: () => number;
}

/**
 * Verifies access tokens of any form by asking whose they are (OpenID Connect Core 5.3). It proves that the
 * issuer knows the token, and nothing about the audience, the client or the scopes.
 */
export function createUserinfoVerifier(options: UserinfoVerifierOptions): Verifier {
  const { issuer, url, questions, keys, now } = options;
  return {
    verify(token) {
      const jwt = decodeJwt(token);
      const problem = jwt && knownBefore(jwt.payload, issuer, now() / 1000);
      if (problem) return Promise.resolve(rejected(problem));
      const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
      return questions.ask(url, headers, async (answer): Promise<Verdict> => {
        if (answer.status === 403) return { outcome: 'insufficient_scope' };
        if (answer.status !== 200) return rejected('The access token is invalid, expired or revoked');
        const claims = await claimsOf(answer, url, issuer, keys);
        const subject = claims.sub;
        if (typeof subject !== 'string' || subject === '') throw unanswered(url, 'told no subject');
        if (jwt?.payload.sub !== undefined && jwt.payload.sub !== subject) {
          return rejected('The access token belongs to another subject');
        }
        const expiresAt = typeof jwt?.payload.exp === 'number' ? jwt.payload.exp : undefined;
        return {
          outcome: 'accepted',
          identity: {
            issuer,
            subject,
            clientId: undefined,
            scopes: [],
            expiresAt,
            claims: { ...claims, iss: issuer },
          },
          scopesKnown: false,
          keepMs,
        };
      });
    },
  };
}

/** What the token itself admits. A foreign token is not shown to our provider. */
function knownBefore(payload: JsonObject, issuer: string, now: number): string | undefined {
  if (payload.iss !== undefined && payload.iss !== issuer) return 'The access token is from another issuer';
  return bindingProblem(payload) ?? (payload.exp === undefined ? undefined : timeProblem(payload, now));
}

async function claimsOf(
  answer: Answer,
  url: URL,
  issuer: string,
  keys: KeySet | undefined,
): Promise<JsonObject> {
  const type = String(answer.headers['content-type'] ?? '').toLowerCase();
  if (!type.startsWith('application/jwt')) return parseJsonObject(answer.body, url.href, 'remote_error');
  const token = answer.body.trim();
  const jwt = decodeJwt(token);
  const genuine = jwt && keys && (await isSignedBy(keys, token, jwt.header));
  if (!genuine || (jwt.payload.iss !== undefined && jwt.payload.iss !== issuer)) {
    throw unanswered(url, 'answered a signed document that its published keys do not confirm');
  }
  const { aud: _audience, iat: _issuedAt, exp: _expiry, ...claims } = jwt.payload;
  return claims;
}
