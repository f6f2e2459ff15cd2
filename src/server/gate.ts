import { createHash } from 'node:crypto';
import type { Identity } from '../lib/access.ts';
import { AppError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { credentialsOf } from './bearer.ts';
import { type Challenge, challengeText, type ResourcePath } from './challenge.ts';
import { answerJson, type Exchange, linger, refuse } from './exchange.ts';
import { rpcCodes, rpcError } from './mcp/messages.ts';
import { createRejections } from './rejections.ts';
import type { Checked } from './verify/cache.ts';
import { type Principal, userOf } from './verify/principal.ts';
import type { Verification } from './verify/verification.ts';

/** The bearer gate in front of both transports. */
export interface Gate {
  /**
   * Lets a request with a good token pass. Out: who sent it; `undefined` when the request has been answered:
   * 401, 403, 400, 429, or 503 where the authorization server gave no verdict.
   */
  admit(x: Exchange, resource: ResourcePath, headerRepeated: boolean): Promise<Principal | undefined>;
}

export interface GateOptions {
  readonly verification: Verification;
  readonly log: Log;
  readonly now: () => number;
}

export function createGate({ verification, log, now }: GateOptions): Gate {
  const rejections = createRejections(now);

  function deny(
    x: Exchange,
    status: 400 | 401 | 403,
    challenge: Omit<Challenge, 'site' | 'scope'>,
    scope = verification.offeredScopes(),
  ): void {
    refuse(
      x,
      status,
      challenge.error ?? 'unauthorized',
      challenge.description ?? 'An access token is needed',
      {
        'www-authenticate': challengeText({ site: x.site, scope, ...challenge }),
      },
    );
  }

  function denyToken(x: Exchange, resource: ResourcePath, description: string): void {
    const from = x.req.socket.remoteAddress;
    if (rejections.charge(from)) {
      log.info('token refused', { path: x.path, reason: description, from });
      deny(x, 401, { resource, error: 'invalid_token', description });
    } else {
      refuse(x, 429, 'too_many_requests', 'Too many invalid access tokens from this address', {
        'retry-after': '1',
      });
    }
  }

  /** Another sign-in may bring the scope, so the challenge names it. */
  function denyScope(x: Exchange, resource: ResourcePath, checked: NotEnough<'insufficient_scope'>): void {
    log.info('the token lacks a scope that calls need; --required-scope says which', {
      path: x.path,
      ...whoItWas(checked.identity),
    });
    const description = 'The access token lacks a required scope';
    deny(x, 403, { resource, error: 'insufficient_scope', description }, checked.required);
  }

  /** No other token of this user would do: there is nothing to challenge for. */
  function denyAccess(x: Exchange, { claim, identity }: NotEnough<'access_denied'>): void {
    log.info('--allow does not let this user in', { path: x.path, claim, ...whoItWas(identity) });
    refuse(x, 403, 'access_denied', 'This server does not let this account in');
  }

  return {
    async admit(x, resource, headerRepeated) {
      const credentials = credentialsOf(x.req.headers, headerRepeated, x.query);
      if (credentials.kind === 'token') {
        try {
          const known = verification.check(credentials.token);
          const checked = known instanceof Promise ? await known : known;
          if (checked.outcome === 'accepted') return checked.principal;
          if (checked.outcome === 'rejected') denyToken(x, resource, checked.reason);
          else if (checked.outcome === 'insufficient_scope') denyScope(x, resource, checked);
          else denyAccess(x, checked);
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          log.info('no verdict about a token', { path: x.path, error });
          answerUnavailable(x, 'The authorization server cannot be reached; try again', 2);
        }
      } else if (credentials.kind === 'malformed') denyToken(x, resource, credentials.why);
      else if (credentials.kind === 'conflicting') {
        const description = 'More than one access token in the request';
        deny(x, 400, { resource, error: 'invalid_request', description });
      } else deny(x, 401, { resource });
      return undefined;
    },
  };
}

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
export function answerUnavailable(x: Exchange, text: string, retryAfter: number): void {
  const headers = { 'retry-after': String(retryAfter) };
  if (x.req.method === 'POST') {
    answerJson(x, 503, rpcError(null, rpcCodes.internalError, text), headers);
    linger(x.req);
  } else refuse(x, 503, 'temporarily_unavailable', text, headers);
}

/** Who it was, told apart in the log without being named. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
