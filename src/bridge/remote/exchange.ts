import type { IncomingMessage } from 'node:http';
import { type AccessTokens, BoundToken } from '../../lib/access.ts';
import { tokenChallenge } from '../../lib/challenge.ts';
import { clockHint } from '../../lib/clock.ts';
import { commandLine, shellWord } from '../../lib/command-line.ts';
import { AppError, asAppError } from '../../lib/errors.ts';
import { type HttpClient, type RequestOptions, readAll } from '../../lib/http.ts';
import type { Secret } from '../../lib/secret.ts';
import type { RemoteSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { checkTheUrl, type Failure, isFailure, networkFailure } from './failure.ts';
import { faultOfProof, proofRefused } from './proof.ts';
import { retryAfterMs } from './retry-after.ts';

export interface ExchangeOptions extends RequestOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** False: a 401 is not worth a new token (the DELETE at the end). Default true. */
  readonly renew?: boolean;
  /** Other connections than those of the calls. */
  readonly lane?: HttpClient;
}

/**
 * Every HTTP request of the bridge: the access token, the redirects and what a status means.
 *
 * `open` gives the answer of a 2xx; everything else is a failure. A 401 leads to one renewal and one more try
 * (the gate refused the first, so nothing has run), and so does a 403 for want of scopes when a sign-in has brought
 * another token meanwhile. A token that is bound to a key goes with a proof for each request (`proof.ts`). The token
 * goes to the server's origin and nowhere else.
 */
export interface Exchange {
  open(url: URL, options: ExchangeOptions): Promise<IncomingMessage | Failure>;
}

const maxRedirects = 5;
/** More than that nobody types. Characters. */
const longestTyped = 500;
/** As much of an error's body as is worth reading. Bytes and milliseconds. */
const errorBody = { maxBytes: 64 * 1024, ms: 5_000 };

export function createExchange(
  remote: RemoteSettings,
  tokens: AccessTokens,
  http: HttpClient,
  now: () => number = Date.now,
): Exchange {
  const { server } = remote;

  async function open(url: URL, options: ExchangeOptions): Promise<IncomingMessage | Failure> {
    try {
      let token = await tokens.current();
      for (let [renewed, widened] = [false, false]; ; ) {
        const incoming = await follow(url, options, token);
        if (isFailure(incoming)) return incoming;
        const status = incoming.statusCode ?? 0;
        if (status >= 200 && status < 300) return incoming;
        if (status === 401 && options.renew !== false) {
          incoming.destroy();
          if (renewed) return refusedAgain(remote, incoming, now());
          token = await tokens.renew(token);
          renewed = true;
          continue;
        }
        const failure = await statusFailure(incoming, status, url, token);
        if (failure.error.code !== 'insufficient_scope' || !token) return failure;
        const granted = await tokens.insufficient(token);
        if (widened || !granted.replaced) return wantsMore(remote, failure, granted.scopes);
        token = await tokens.current();
        widened = true;
      }
    } catch (error) {
      // Only the source of tokens throws here: `follow` gives its failures back.
      return { reason: 'auth', error: asAppError(error) };
    }
  }

  async function follow(url: URL, options: ExchangeOptions, token: Secret | undefined) {
    const headers: Record<string, string> = { ...remote.headers, ...options.headers };
    const bound = token instanceof BoundToken ? token : undefined;
    let target = url;
    for (let redirects = 0, nonces = 0; ; ) {
      if (target.origin !== server.origin) return foreignRedirect(server, target);
      if (bound) Object.assign(headers, await bound.headersFor(options.method ?? 'GET', target));
      else if (token) headers.authorization = `Bearer ${token.reveal()}`;
      let incoming: IncomingMessage;
      try {
        incoming = await (options.lane ?? http).open(target, { headersTimeoutMs: 0, ...options, headers });
      } catch (error) {
        return networkFailure(error, target);
      }
      if (bound) {
        const fault = faultOfProof(bound, target, incoming);
        if (fault === 'nonce' && nonces++ === 0) {
          incoming.destroy();
          continue;
        }
        if (fault) return proofRefused(remote, incoming, now());
      }
      const location = redirectOf(incoming);
      if (location === undefined) return incoming;
      incoming.destroy();
      if (redirects++ === maxRedirects || !URL.canParse(location, target.href))
        return endlessRedirect(server);
      target = new URL(location, target);
    }
  }

  async function statusFailure(
    incoming: IncomingMessage,
    status: number,
    url: URL,
    token: Secret | undefined,
  ): Promise<Failure> {
    const timer = setTimeout(() => incoming.destroy(), errorBody.ms);
    const body = await readAll(incoming, errorBody.maxBytes, url).catch(() => '');
    clearTimeout(timer);
    if (status === 403) return forbidden(remote, incoming, body, token);
    const wait =
      status === 429 || status === 503 ? retryAfterMs(incoming.headers['retry-after'], now()) : undefined;
    if (wait !== undefined)
      return { reason: 'busy', error: busy(server, status, wait), status, retryAfterMs: wait };
    return { reason: 'status', error: unexpected(server, status), status, body };
  }

  return { open };
}

/** A redirect that keeps the method: the body may not be dropped, and 303 would drop it. */
function redirectOf(incoming: IncomingMessage): string | undefined {
  const isRedirect = [301, 302, 307, 308].includes(incoming.statusCode ?? 0);
  return isRedirect ? incoming.headers.location : undefined;
}

function foreignRedirect(server: URL, target: URL): Failure {
  const message = `${server.host} redirects to ${target.origin}, which was not followed: no token and no call leaves for another host`;
  const hint = `if that is the right server, use its own URL`;
  return { reason: 'status', error: new AppError('insecure_url', message, { hint }) };
}

function endlessRedirect(server: URL): Failure {
  return {
    reason: 'status',
    error: new AppError('not_mcp_server', `${server.host} redirects without an end`),
  };
}

function refusedAgain(remote: RemoteSettings, { headers }: IncomingMessage, now: number): Failure {
  const message = `${remote.server.host} refuses the access token, a fresh one too`;
  const hint =
    clockHint(headers.date, remote.server.host, now) ??
    `the server may expect another audience or issuer: ${commandLine('login', remote)}`;
  return { reason: 'auth', error: new AppError('token_rejected', message, { hint }) };
}

function forbidden(
  remote: RemoteSettings,
  incoming: IncomingMessage,
  body: string,
  token: Secret | undefined,
): Failure {
  const { host } = remote.server;
  const challenge = tokenChallenge(incoming.headers['www-authenticate']);
  if (challenge?.error === 'insufficient_scope') {
    // Our own token, given back as a scope, would be shown.
    const echoed = token !== undefined && challenge.scope?.includes(token.reveal());
    const scope = echoed ? undefined : challenge.scope;
    const message = `${host} wants more scopes for this${scope ? `: ${display(scope, 200)}` : ''}`;
    const error = new AppError('insufficient_scope', message, { scope });
    return { reason: 'forbidden', error, status: 403, body };
  }
  if (token === undefined) {
    const error = new AppError(
      'access_denied',
      `${host} refuses the request, and asks for no sign-in (status 403)`,
      {
        hint: checkTheUrl,
      },
    );
    return { reason: 'forbidden', error, status: 403, body };
  }
  const error = new AppError('access_denied', `${host} does not let this account do that`, {
    hint: `sign in with another account (${commandLine('login', remote)} --switch-account), or ask who runs the server`,
  });
  return { reason: 'forbidden', error, status: 403, body };
}

/** The line to type has to ask for what there is as well: a sign-in replaces the one before. */
function wantsMore(remote: RemoteSettings, failure: Failure, granted: readonly string[]): Failure {
  const { message, scope } = failure.error;
  const scopes = [...new Set([...granted, ...(scope?.split(' ') ?? [])])].join(' ');
  const word = scope && scopes.length <= longestTyped ? shellWord(scopes) : undefined;
  const hint = `${commandLine('login', remote)}${word ? ` --scope ${word}` : ''}`;
  return { ...failure, error: new AppError('insufficient_scope', message, { hint, scope }) };
}

function busy(server: URL, status: number, waitMs: number): AppError {
  const message = `${server.host} is busy (${status}) and asks to be left alone for ${Math.ceil(waitMs / 1000)} s`;
  return new AppError('server_unreachable', message, { hint: 'call again after that time' });
}

function unexpected(server: URL, status: number): AppError {
  if (status >= 500) {
    return new AppError(
      'remote_error',
      `${server.host} failed (status ${status}); the request may have run`,
      {
        hint: "check its effect before you repeat it; the server's log tells more",
      },
    );
  }
  if (status === 429) {
    return new AppError('server_unreachable', `${server.host} takes no more requests for now (status 429)`, {
      hint: 'call again later',
    });
  }
  return new AppError('not_mcp_server', `${server.host} refused the request (status ${status})`, {
    hint: checkTheUrl,
  });
}
