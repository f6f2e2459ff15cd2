import { AppError } from '../../lib/errors.ts';
import type { Answer, HttpClient, ReadOptions } from '../../lib/http.ts';
import { describeNetworkError, networkHint } from '../../lib/network-error.ts';
import type { SignInSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { secureUrl, type UrlPolicy } from '../../lib/url.ts';
import { createNetworkGuard, type NetworkGuard } from './private-network.ts';

/** How far one sign-in reaches: which URLs it may touch, and until when. */
export interface Reach {
  readonly http: HttpClient;
  readonly policy: UrlPolicy;
  readonly guard: NetworkGuard;
  readonly signal: AbortSignal | undefined;
}

export function createReach(
  http: HttpClient,
  settings: Pick<SignInSettings, 'server' | 'allowHttp' | 'allowPrivateNetwork'>,
  signal?: AbortSignal,
): Reach {
  const guard = createNetworkGuard(settings.server, settings.allowPrivateNetwork ?? false);
  return { http, policy: { allowHttp: settings.allowHttp }, guard, signal };
}

/**
 * One exchange with an OAuth endpoint that somebody else named: URL checked, target address checked, no
 * redirect. Throws AppError `insecure_url`, `timeout`, `too_large`, `cancelled`; network errors as they come.
 */
export async function exchangeWith(
  reach: Reach,
  url: string,
  what: string,
  options: ReadOptions,
): Promise<Answer> {
  const checked = secureUrl(url, what, reach.policy);
  await reach.guard.check(checked);
  return reach.http.read(checked, { signal: reach.signal, lookup: reach.guard.lookup, ...options });
}

/** Reads a metadata document; at most two redirects, within the origin (RFC 9728 7.7). */
export async function readDocument(reach: Reach, url: string, what: string): Promise<Answer> {
  const options = { headers: { accept: 'application/json' } };
  let at = url;
  for (let hops = 0; ; hops++) {
    const answer = await exchangeWith(reach, at, what, options);
    const { location } = answer.headers;
    if (answer.status < 300 || answer.status > 399 || location === undefined) return answer;
    if (hops === 2) throw new AppError('metadata_invalid', `${display(url)} redirects again and again`);
    at = sameOriginTarget(location, at, what);
  }
}

/** The target of a redirect, if it stays at the origin. Throws AppError `metadata_invalid`. */
export function sameOriginTarget(location: string, from: string, what: string): string {
  const target = URL.canParse(location, from) ? new URL(location, from) : undefined;
  const { origin } = new URL(from);
  if (target?.origin === origin) return target.href;
  throw new AppError('metadata_invalid', `${what} at ${origin} redirects to ${display(location, 200)}`, {
    hint: 'nothing was sent there; use the address that the server has now',
  });
}

/** A failed exchange with the authorization server, as a person reads it. AppErrors of ours pass unchanged. */
export function issuerFailure(error: unknown, url: URL, issuer: string): AppError {
  const ours = error instanceof AppError ? error : undefined;
  if (ours && ours.code !== 'timeout' && ours.code !== 'too_large') return ours;
  return issuerDown(issuer, describeNetworkError(error, url), error);
}

export function issuerDown(issuer: string, why: string, cause?: unknown): AppError {
  const message = `the authorization server ${display(issuer)} cannot be reached: ${display(why)}`;
  return new AppError('issuer_unreachable', message, {
    cause,
    hint: networkHint(cause) ?? 'try again later; tokens that you have are kept',
  });
}

/** A failed exchange with the MCP server. */
export function serverFailure(error: unknown, url: URL): AppError {
  const ours = error instanceof AppError ? error : undefined;
  if (ours && ours.code !== 'timeout' && ours.code !== 'too_large') return ours;
  const [message, why] = [`the MCP server ${url.href} cannot be reached`, describeNetworkError(error, url)];
  const hint = networkHint(error);
  return new AppError('server_unreachable', hint ? `${message}: ${why}` : message, {
    cause: error,
    hint: hint ?? `${why}: check the URL, and that the server runs`,
  });
}
