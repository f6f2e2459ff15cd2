import { createHash } from 'node:crypto';
import type { Identity } from '../lib/identity.ts';
import { AppError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { ResourcePath, Site } from './address.ts';
import { credentialsOf } from './bearer.ts';
import { type Challenge, challengeText } from './challenge.ts';
import { type Answering, jsonReply, type Reply, refusal, send } from './exchange.ts';
import type { Asked } from './guards.ts';
import { rpcCodes, rpcError } from './mcp/messages.ts';
import { noteRequest } from './record.ts';
import { createRejections } from './rejections.ts';
import type { Checked } from './verify/cache.ts';
import { type Principal, userOf } from './verify/principal.ts';
import type { Verification } from './verify/verification.ts';

/** The bearer gate in front of every transport. It sends nothing: what it decides is the same however a request came. */
export interface Gate {
  /**
   * Lets a request with a good token pass. Out: who sent it; else the answer that it gets: 401, 403, 400, 429, or
   * 503 where the authorization server gave no verdict.
   */
  admit(asked: Asked, site: Site, resource: ResourcePath): Promise<Principal | Reply>;
}

export interface GateOptions {
  readonly verification: Verification;
  readonly log: Log;
  readonly now: () => number;
}

export function createGate({ verification, log, now }: GateOptions): Gate {
  const rejections = createRejections(now);

  function deny(
    at: Place,
    status: 400 | 401 | 403,
    challenge: Omit<Challenge, keyof Place | 'scope'> = {},
    scope = verification.offeredScopes(),
  ): Reply {
    const error = challenge.error ?? 'unauthorized';
    const description = challenge.description ?? 'An access token is needed';
    return refusal(status, error, description, {
      'www-authenticate': challengeText({ ...at, scope, ...challenge }),
    });
  }

  function denyToken(asked: Asked, at: Place, description: string): Reply {
    const from = asked.from();
    if (from === undefined || rejections.charge(from)) {
      noteRequest(asked, log, 'token refused', { path: asked.path, reason: description, from });
      return deny(at, 401, { error: 'invalid_token', description });
    }
    return refusal(429, 'too_many_requests', 'Too many invalid access tokens from this address', {
      'retry-after': '1',
    });
  }

  /** Another sign-in may bring the scope, so the challenge names it. */
  function denyScope(asked: Asked, at: Place, checked: NotEnough<'insufficient_scope'>): Reply {
    noteRequest(asked, log, 'the token lacks a scope that calls need; --required-scope says which', {
      path: asked.path,
      ...whoItWas(checked.identity),
    });
    const description = 'The access token lacks a required scope';
    return deny(at, 403, { error: 'insufficient_scope', description }, checked.required);
  }

  /** No other token of this user would do: there is nothing to challenge for. */
  function denyAccess(asked: Asked, { claim, identity }: NotEnough<'access_denied'>): Reply {
    const fields = { path: asked.path, claim, ...whoItWas(identity) };
    noteRequest(asked, log, '--allow does not let this user in', fields);
    return refusal(403, 'access_denied', 'This server does not let this account in');
  }

  return {
    async admit(asked, site, resource) {
      const at = { site, resource };
      const credentials = credentialsOf(asked.headers, asked.repeated === 'authorization', asked.query);
      if (credentials.kind === 'none') return deny(at, 401);
      if (credentials.kind === 'malformed') return denyToken(asked, at, credentials.why);
      if (credentials.kind === 'conflicting') {
        const description = 'More than one access token in the request';
        return deny(at, 400, { error: 'invalid_request', description });
      }
      try {
        const known = verification.check(credentials.token);
        const checked = known instanceof Promise ? await known : known;
        if (checked.outcome === 'accepted') return checked.principal;
        if (checked.outcome === 'rejected') return denyToken(asked, at, checked.reason);
        if (checked.outcome === 'insufficient_scope') return denyScope(asked, at, checked);
        return denyAccess(asked, checked);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        noteRequest(asked, log, 'no verdict about a token', { path: asked.path, error });
        return unavailable(asked.method, 'The authorization server cannot be reached; try again', 2);
      }
    },
  };
}

/** What a challenge is about. */
type Place = Pick<Challenge, 'site' | 'resource'>;

type NotEnough<O extends Checked['outcome']> = Extract<Checked, { readonly outcome: O }>;

function whoItWas(identity: Identity | undefined) {
  return {
    granted: identity?.scopes.join(' '),
    client: identity?.clientId,
    user: identity && shortHash(userOf(identity)),
  };
}

/**
 * Somebody whom we must ask is away. That is neither a bad token nor a lost session: nothing has run, the client
 * keeps what it has and tries again, after as many seconds as told.
 */
export function answerUnavailable(x: Answering, text: string, retryAfter: number): void {
  send(x, unavailable(x.req.method ?? '', text, retryAfter));
}

function unavailable(method: string, text: string, retryAfter: number): Reply {
  const headers = { 'retry-after': String(retryAfter) };
  const refused = 'temporarily_unavailable';
  if (method !== 'POST') return refusal(503, refused, text, headers);
  return { ...jsonReply(503, rpcError(null, rpcCodes.internalError, text), headers), refused };
}

/** Who it was, told apart in the log without being named. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
