import type { Identity } from '../../lib/access.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';
import type { UnverifiedJwt } from './jwt-text.ts';

/** How far the clocks of the issuer and of this machine may differ. Seconds. */
export const clockSkew = 30;

/** Members that are about the token, not about the person. */
const tokenClaims = new Set(['exp', 'iat', 'nbf', 'jti', 'aud', 'scope', 'scp', 'azp', 'typ', 'client_id']);

export interface Expectations {
  readonly issuer: string;
  /** Acceptable audiences; one slash at the end makes no difference. */
  readonly audiences: readonly string[];
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * What is wrong with an access token's header and claims (RFC 9068 4, RFC 8725 3), the signature aside.
 *
 * Out: fixed ASCII text for the challenge; `undefined` when everything is right.
 */
export function claimsProblem(
  { header, payload }: UnverifiedJwt,
  expected: Expectations,
): string | undefined {
  if (header.crit !== undefined) return 'The access token has critical header parameters';
  if (payload.iss !== expected.issuer) return 'The access token is from another issuer';
  if (typeof payload.sub !== 'string' || payload.sub === '') return 'The access token names no subject';
  return (
    timeProblem(payload, expected.now) ??
    typeProblem(header, payload) ??
    bindingProblem(payload) ??
    (namesAudience(payload.aud, expected.audiences) ? undefined : 'The access token is for another audience')
  );
}

export function timeProblem(payload: JsonObject, now: number): string | undefined {
  const { exp, nbf, iat } = payload;
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'The access token has no expiry';
  if (now >= exp + clockSkew) return 'The access token has expired';
  for (const start of [nbf, iat]) {
    if (start === undefined) continue;
    if (typeof start !== 'number' || start > now + clockSkew) return 'The access token is not valid yet';
  }
  return undefined;
}

/**
 * A token that is bound to a key (RFC 7800: `cnf`) comes with a proof of that key, which nobody asks for here.
 * Taken as a Bearer token it would serve a thief, which the binding is there to prevent (RFC 9449 7.2, RFC 8705 3).
 */
export function bindingProblem({ cnf }: JsonObject): string | undefined {
  if (cnf === undefined || cnf === null) return undefined;
  const byDpop = isObject(cnf) && cnf.jkt !== undefined;
  return byDpop
    ? 'The access token is bound to a key (DPoP) and is no Bearer token'
    : 'The access token is bound to a key and is no Bearer token';
}

/** Many providers sign access tokens with `typ` JWT, so an ID token has to be told by what is in it. */
function typeProblem(header: JsonObject, payload: JsonObject): string | undefined {
  const type = header.typ === undefined ? 'jwt' : String(header.typ).toLowerCase();
  if (type === 'at+jwt' || type === 'application/at+jwt') return undefined;
  if (type !== 'jwt') return 'The token is no access token';
  const client = payload.client_id ?? payload.azp;
  const audiences = audiencesOf(payload.aud);
  const forClientAlone = audiences.length === 1 && audiences[0] === client;
  const idTokenOnly = ['nonce', 'at_hash', 'c_hash'].some((name) => Object.hasOwn(payload, name));
  const otherKind = payload.typ !== undefined && payload.typ !== 'Bearer';
  return forClientAlone || idTokenOnly || otherKind ? 'The token is no access token' : undefined;
}

function namesAudience(aud: unknown, accepted: readonly string[]): boolean {
  const wanted = new Set(accepted.map(withoutSlash));
  return audiencesOf(aud).some((one) => wanted.has(withoutSlash(one)));
}

function audiencesOf(aud: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return list.filter((one) => typeof one === 'string');
}

const withoutSlash = (text: string) => text.replace(/\/$/, '');

/** The caller that a verified token tells of. */
export function identityOf(payload: JsonObject, issuer: string): Identity {
  const client = payload.client_id ?? payload.azp;
  return {
    issuer,
    subject: String(payload.sub),
    clientId: typeof client === 'string' ? client : undefined,
    scopes: scopesOf(payload),
    expiresAt: typeof payload.exp === 'number' ? payload.exp : undefined,
    claims: Object.fromEntries(Object.entries(payload).filter(([name]) => !tokenClaims.has(name))),
  };
}

/** RFC 9068 2.2.3; Entra and Okta write `scp`, a string or an array. */
function scopesOf(payload: JsonObject): readonly string[] {
  for (const value of [payload.scope, payload.scp, payload.scopes]) {
    if (typeof value === 'string') return value.split(' ').filter(Boolean);
    if (Array.isArray(value)) return value.filter((one): one is string => typeof one === 'string');
  }
  return [];
}
