import { isObject, type JsonObject } from '../../lib/json.ts';
import type { UnverifiedJwt } from '../../lib/jwt-text.ts';
import { audiencesOf, type ExpectedAudience, isForUs } from './audience.ts';
import type { Evidence } from './verifier.ts';

/** How far the clocks of the issuer and of this machine may differ. Seconds. */
export const clockSkew = 30;

/** Members that are about the token, not about the person. */
export const tokenClaims: ReadonlySet<string> = new Set([
  'exp',
  'iat',
  'nbf',
  'jti',
  'aud',
  'scope',
  'scp',
  'azp',
  'typ',
  'client_id',
]);

export interface Expectations {
  readonly issuer: string;
  readonly audience: ExpectedAudience;
  /** Seconds since the epoch. */
  readonly now: number;
}

/**
 * What is wrong with an access token's header and claims (RFC 9068 4, RFC 8725 3), the signature aside.
 *
 * Out: fixed ASCII text for the challenge; `undefined` when everything is right.
 */
export function claimsProblem(jwt: UnverifiedJwt, expected: Expectations): string | undefined {
  const { header, payload } = jwt;
  if (header.crit !== undefined) return 'The access token has critical header parameters';
  if (payload.iss !== expected.issuer) return 'The access token is from another issuer';
  if (typeof payload.sub !== 'string' || payload.sub === '') return 'The access token names no subject';
  return (
    expiryProblem(payload, expected.now) ??
    startProblem(payload, expected.now) ??
    typeProblem(jwt) ??
    bindingProblem(payload) ??
    (isForUs(payload, expected.audience) ? undefined : 'The access token is for another audience')
  );
}

export function expiryProblem({ exp }: JsonObject, now: number): string | undefined {
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return 'The access token has no expiry';
  return now >= exp + clockSkew ? 'The access token has expired' : undefined;
}

export function startProblem({ nbf, iat }: JsonObject, now: number): string | undefined {
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

/**
 * What a JWT admits before anybody is asked about it. A foreign token is not shown to our provider. It need not
 * be a token of the form of RFC 9068: the provider is going to judge it.
 */
export function admittedProblem({ payload }: UnverifiedJwt, issuer: string, now: number): string | undefined {
  if (payload.iss !== undefined && payload.iss !== issuer) return 'The access token is from another issuer';
  const time =
    payload.exp === undefined ? undefined : (expiryProblem(payload, now) ?? startProblem(payload, now));
  return bindingProblem(payload) ?? time;
}

/** Many providers sign access tokens with `typ` JWT, so an ID token has to be told by what is in it. */
export function typeProblem(jwt: UnverifiedJwt): string | undefined {
  if (isTypedAccessToken(jwt)) return undefined;
  const { header, payload } = jwt;
  if (header.typ !== undefined && String(header.typ).toLowerCase() !== 'jwt') return noAccessToken;
  const client = payload.client_id ?? payload.azp;
  const audiences = audiencesOf(payload);
  const forClientAlone = audiences.length === 1 && audiences[0] === client;
  const idTokenOnly = ['nonce', 'at_hash', 'c_hash'].some((name) => Object.hasOwn(payload, name));
  return forClientAlone || idTokenOnly ? noAccessToken : kindProblem(payload);
}

/** RFC 9068 2.1. */
export function isTypedAccessToken({ header }: UnverifiedJwt): boolean {
  const type = String(header.typ).toLowerCase();
  return type === 'at+jwt' || type === 'application/at+jwt';
}

/** Keycloak tells the kind of a token in `typ`, Cognito and Ory Hydra in `token_use`. */
export function kindProblem({ typ, token_use: use }: JsonObject): string | undefined {
  const otherType = typ !== undefined && typ !== 'Bearer';
  const otherUse = use !== undefined && use !== 'access' && use !== 'access_token';
  return otherType || otherUse ? noAccessToken : undefined;
}

export const noAccessToken = 'The token is no access token';

/** What a verified token proves. */
export function evidenceOf(payload: JsonObject, issuer: string): Evidence {
  const client = payload.client_id ?? payload.azp;
  return {
    issuer,
    subject: String(payload.sub),
    clientId: typeof client === 'string' ? client : undefined,
    scopes: scopesOf(payload),
    expiresAt: typeof payload.exp === 'number' ? payload.exp : undefined,
    claims: payload,
    person: Object.fromEntries(Object.entries(payload).filter(([name]) => !tokenClaims.has(name))),
  };
}

/** RFC 9068 2.2.3; Entra and Okta write `scp`, a string or an array. */
export function scopesOf(payload: JsonObject): readonly string[] {
  for (const value of [payload.scope, payload.scp, payload.scopes]) {
    if (typeof value === 'string') return value.split(' ').filter(Boolean);
    if (Array.isArray(value)) return value.filter((one): one is string => typeof one === 'string');
  }
  return [];
}
