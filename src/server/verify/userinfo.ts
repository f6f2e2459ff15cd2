import type { Answer } from '../../lib/http.ts';
import { type JsonObject, parseJsonObject } from '../../lib/json.ts';
import { decodeJwt } from '../../lib/jwt-text.ts';
import type { KeySet } from './jwks.ts';
import { isSignedBy } from './jwt.ts';
import { admittedProblem } from './jwt-claims.ts';
import { type Questions, unanswered } from './questions.ts';
import { rejected, type Verdict, type Verifier } from './verifier.ts';

/** The price of not asking each time: a revoked token works for this much longer. Milliseconds. */
export const keepAnswerMs = 60_000;

/** What the userinfo endpoint says to a token: the claims of its user, or no. */
export type UserinfoAnswer =
  | { readonly outcome: 'claims'; readonly subject: string; readonly claims: JsonObject }
  | { readonly outcome: 'refused' }
  | { readonly outcome: 'insufficient_scope' };

/** The userinfo endpoint of one provider (OpenID Connect Core 5.3). */
export interface Userinfo {
  /** Throws AppError `issuer_unreachable` for everything that is no answer. */
  ask(token: string): Promise<UserinfoAnswer>;
}

export interface UserinfoOptions {
  readonly issuer: string;
  readonly url: URL;
  readonly questions: Questions;
  /** For signed answers; `undefined` when the provider publishes no keys. */
  readonly keys: KeySet | undefined;
}

export function createUserinfo({ issuer, url, questions, keys }: UserinfoOptions): Userinfo {
  return {
    ask(token) {
      const headers = { authorization: `Bearer ${token}`, accept: 'application/json' };
      return questions.ask('userinfo', url, async (send): Promise<UserinfoAnswer> => {
        const answer = await send({ headers });
        if (answer.status === 403) return { outcome: 'insufficient_scope' };
        if (answer.status !== 200) return { outcome: 'refused' };
        const claims = await claimsOf(answer, url, issuer, keys);
        const subject = claims.sub;
        if (typeof subject !== 'string' || subject === '') throw unanswered(url, 'told no subject');
        return { outcome: 'claims', subject, claims };
      });
    },
  };
}

export interface UserinfoVerifierOptions {
  readonly issuer: string;
  readonly userinfo: Userinfo;
  readonly now: () => number;
}

/**
 * Verifies access tokens of any form by asking whose they are. It proves that the issuer knows the token, and
 * nothing about the audience, the client or the scopes.
 */
export function createUserinfoVerifier({ issuer, userinfo, now }: UserinfoVerifierOptions): Verifier {
  return {
    async verify(token): Promise<Verdict> {
      const jwt = decodeJwt(token);
      const problem = jwt && admittedProblem(jwt, issuer, now() / 1000);
      if (problem) return rejected(problem);
      const answer = await userinfo.ask(token);
      if (answer.outcome === 'insufficient_scope') return { outcome: 'insufficient_scope' };
      if (answer.outcome === 'refused') return rejected(unknownToken);
      const { subject } = answer;
      if (jwt?.payload.sub !== undefined && jwt.payload.sub !== subject) return rejected(anotherSubject);
      const expiresAt = typeof jwt?.payload.exp === 'number' ? jwt.payload.exp : undefined;
      const claims = { ...answer.claims, iss: issuer };
      const evidence = {
        issuer,
        subject,
        clientId: undefined,
        scopes: undefined,
        expiresAt,
        claims,
        person: claims,
      };
      return { outcome: 'accepted', evidence, keepMs: keepAnswerMs };
    },
  };
}

export const unknownToken = 'The access token is invalid, expired or revoked';
export const anotherSubject = 'The access token belongs to another subject';

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
