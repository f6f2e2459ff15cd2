import type { Answer } from '../../lib/http.ts';
import { type JsonObject, parseJsonObject, stringMember } from '../../lib/json.ts';
import { decodeJwt } from '../../lib/jwt-text.ts';
import type { Log } from '../../lib/log.ts';
import type { ClaimRule, ClientCredentials } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import type { ProviderRequest } from '../provider/reader.ts';
import { type ExpectedAudience, isForUs, isFromAllowedClient } from './audience.ts';
import { type ClientAuthentication, waysToAuthenticate } from './client-auth.ts';
import {
  admittedProblem,
  bindingProblem,
  evidenceOf,
  expiryProblem,
  isTypedAccessToken,
  kindProblem,
  noAccessToken,
  startProblem,
  typeProblem,
} from './jwt-claims.ts';
import { type Questions, type Send, unanswered } from './questions.ts';
import { anotherSubject, keepAnswerMs, type Userinfo, unknownToken } from './userinfo.ts';
import { rejected, type Verdict, type Verifier } from './verifier.ts';

const warnEveryMs = 60_000;

/** Members of an answer (RFC 7662 2.2) that are about the token, besides those that JWTs have too. */
const answerMembers = ['active', 'token_type', 'username'];

export interface IntrospectionOptions {
  readonly issuer: string;
  readonly url: URL;
  readonly client: ClientCredentials;
  /** How the client may authenticate, as the metadata names it. */
  readonly authMethods: readonly string[];
  readonly audience: ExpectedAudience;
  /** A token without an audience passes for a `client_id` that is allowed by name. */
  readonly allow: readonly ClaimRule[];
  /** Who the person is: introspection tells little of it. `undefined` when the provider has no such endpoint. */
  readonly userinfo: Userinfo | undefined;
  readonly questions: Questions;
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Verifies access tokens of any form by asking the provider about them (RFC 7662). `active` decides whether to go
 * on; then everything that the answer tells is checked as if it stood in a token (4).
 */
export function createIntrospectionVerifier(options: IntrospectionOptions): Verifier {
  const { issuer, userinfo, now } = options;
  const introspect = createIntrospection(options);
  return {
    async verify(token): Promise<Verdict> {
      const at = now() / 1000;
      const jwt = decodeJwt(token);
      const admitted = jwt && (admittedProblem(jwt, issuer, at) ?? typeProblem(jwt));
      if (admitted) return rejected(admitted);
      const answer = await introspect(token);
      if (answer === undefined) return rejected(unknownToken);
      const problem = answerProblem(answer, options, at);
      if (problem) return rejected(problem);

      const person = await userinfo?.ask(token);
      const kindIsKnown = answer.token_type !== undefined || (jwt !== undefined && isTypedAccessToken(jwt));
      // oidc-provider finds refresh tokens active and does not say what they are; its userinfo knows.
      if (person?.outcome === 'refused' && !kindIsKnown) return rejected(noAccessToken);
      const claims = person?.outcome === 'claims' ? person.claims : {};
      const subject = answer.sub ?? claims.sub;
      if (typeof subject !== 'string' || subject === '') {
        return rejected('The access token names no subject');
      }
      if (claims.sub !== undefined && claims.sub !== subject) return rejected(anotherSubject);
      const told = evidenceOf({ ...answer, sub: subject, iss: issuer }, issuer);
      const own = Object.entries(told.person).filter(([name]) => !answerMembers.includes(name));
      const evidence = {
        ...told,
        claims: { ...claims, ...told.claims },
        person: { ...Object.fromEntries(own), ...claims, iss: issuer },
      };
      return { outcome: 'accepted', evidence, keepMs: keepAnswerMs };
    },
  };
}

/** What is wrong with a token that is active. Members may be missing; those that are there must be right. */
function answerProblem(
  answer: JsonObject,
  { issuer, audience, allow }: IntrospectionOptions,
  now: number,
): string | undefined {
  if (answer.iss !== undefined && answer.iss !== issuer) return 'The access token is from another issuer';
  const late = answer.exp === undefined ? undefined : expiryProblem(answer, now);
  const time = late ?? startProblem(answer, now);
  if (time) return time;
  const type = answer.token_type === undefined ? 'bearer' : String(answer.token_type).toLowerCase();
  // glewlwyd tells the kind of the token here: an active refresh token is a `refresh_token`.
  if (type !== 'bearer' && type !== 'access_token') return noAccessToken;
  const kind = kindProblem(answer) ?? bindingProblem(answer);
  if (kind) return kind;
  return isForUs(answer, audience) || isFromAllowedClient(answer, allow)
    ? undefined
    : 'The access token is for another audience';
}

/** Out: what asks about one token; `undefined` from it: the token is not active. */
function createIntrospection({ url, client, authMethods, questions, log, now }: IntrospectionOptions) {
  let ways = waysToAuthenticate(client, authMethods);
  let warnedAt = Number.NEGATIVE_INFINITY;

  /** The form of authentication that worked comes first from then on. */
  async function ask(token: string, send: Send): Promise<JsonObject | undefined> {
    const order = ways;
    let status = 0;
    for (const way of order) {
      const answer = await send(request(token, way));
      if (!refusesClient(answer)) {
        if (way !== order[0]) ways = [way, ...order.filter((other) => other !== way)];
        return read(answer, url);
      }
      status = answer.status;
    }
    throw refusedClient(status);
  }

  /** Our credentials are wrong, which is no fault of the token: it must be heard, and not drown the log. */
  function refusedClient(status: number) {
    if (now() - warnedAt >= warnEveryMs) {
      warnedAt = now();
      log.error('the introspection endpoint refuses our client: check its id and secret', {
        endpoint: url.href,
        status,
        client: client.id,
      });
    }
    return unanswered(url, `refuses the client ${client.id} (${status})`);
  }

  return (token: string) => questions.ask('introspection', url, (send) => ask(token, send));
}

function request(token: string, { headers, parameters }: ClientAuthentication): ProviderRequest {
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
      ...headers,
    },
    body: new URLSearchParams({ token, token_type_hint: 'access_token', ...parameters }).toString(),
  };
}

/** Out: `undefined` for a token that is not active. Throws where the answer says nothing of the token. */
function read(answer: Answer, url: URL): JsonObject | undefined {
  if (answer.status !== 200) {
    const code = errorCode(answer);
    // Some providers look at no token that describes itself (oidc-provider).
    if (code === 'unsupported_token_type') return undefined;
    throw unanswered(url, `answered ${answer.status}${code ? ` (${display(code, 60)})` : ''}`);
  }
  const told = parseJsonObject(answer.body, url.href, 'remote_error');
  if (typeof told.active !== 'boolean') throw unanswered(url, 'did not say whether the token is active');
  return told.active ? withoutNulls(told) : undefined;
}

/** A member without a value says as much as none. */
function withoutNulls(told: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== null));
}

/** RFC 6749 5.2; some answer 400 or 403 where 401 belongs. */
function refusesClient(answer: Answer): boolean {
  if (answer.status === 401) return true;
  return answer.status !== 200 && ['invalid_client', 'unauthorized_client'].includes(errorCode(answer) ?? '');
}

function errorCode({ body }: Answer): string | undefined {
  try {
    return stringMember(parseJsonObject(body, ''), 'error');
  } catch {
    return undefined;
  }
}
