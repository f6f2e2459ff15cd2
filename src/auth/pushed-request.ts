import type { AuthorizationRequest, Pushed } from './authorization-request.ts';
import type { Client } from './client/client.ts';
import type { AuthorizationServer } from './discovery/issuer-metadata.ts';
import type { Reach } from './discovery/reach.ts';
import { refusedBy } from './redirect/redirect.ts';
import { askIssuer } from './tokens/oauth.ts';

/**
 * Whether a request is pushed to the issuer (RFC 9126) rather than written into the URL: always where the issuer or
 * our registration demands it, and nowhere else.
 *
 * Where pushing is merely offered it is left alone. It would buy little: nothing in our requests is secret, and who
 * tampers with one in the browser is caught by PKCE, `state` and `iss`. It would cost: such an address is good for a
 * minute or so, and people open ours late, from a chat or on another screen. And with nothing to fall back from,
 * nobody can make us fall back.
 */
export function mustPush(server: AuthorizationServer, client: Client): boolean {
  return (
    server.pushed_authorization_request_endpoint !== undefined &&
    (server.require_pushed_authorization_requests === true || client.pushesRequests === true)
  );
}

export interface Push {
  readonly server: AuthorizationServer;
  readonly client: Client;
  readonly parameters: Readonly<Record<string, string>>;
  readonly now: number;
}

/**
 * Pushes a request (RFC 9126 2). Out: the URL to open, and what it takes to do so again; `client_forgotten` when the
 * issuer no longer knows the client that we registered there.
 *
 * Throws AppError as the token endpoint has it: `sign_in_failed`, `invalid_target`, `issuer_unreachable` ...
 */
export async function push(
  reach: Reach,
  { server, client, parameters, now }: Push,
): Promise<{ readonly url: string; readonly pushed: Pushed } | 'client_forgotten'> {
  const secrets = [client.secret?.reveal() ?? ''];
  const asking = { reach, server, client, secrets };
  const result = await askIssuer(asking, 'request_uri', async (library, configuration, recording) => {
    const url = await library.buildAuthorizationUrlWithPAR(configuration, { ...parameters });
    return { url: url.href, lifetimeMs: Number(recording.heard()?.json?.expires_in) * 1000 };
  });
  if ('refused' in result) {
    const { error, status, description } = result.refused;
    if (error === 'invalid_client' && client.dynamic) return 'client_forgotten';
    throw refusedBy(server.issuer, error ?? `status ${status}`, description, parameters.resource);
  }
  const { url, lifetimeMs } = result.granted;
  return { url, pushed: { parameters, lifetimeMs, until: now + lifetimeMs } };
}

/**
 * The request with an address that can be opened now: the one that it has, or the same request pushed once more. A
 * redirect that answers one answers the other.
 *
 * Throws as `push`.
 */
export async function freshlyPushed(
  reach: Reach,
  request: AuthorizationRequest,
  now: number,
): Promise<AuthorizationRequest> {
  const { pushed, server, client } = request;
  if (!pushed || now < pushed.until - marginOf(pushed)) return request;
  const again = await push(reach, { server, client, parameters: pushed.parameters, now });
  if (again === 'client_forgotten') throw refusedBy(server.issuer, 'invalid_client', undefined, undefined);
  return { ...request, ...again };
}

/** An address is on its way to the browser for a while. Milliseconds. */
const marginOf = ({ lifetimeMs }: Pushed) => Math.min(5_000, lifetimeMs / 4);
/** However short-lived addresses are, there is a new one no sooner than this. Milliseconds. */
const leastRenewalMs = 10_000;
/** However long-lived, it is looked at again after this: a timer cannot be set as far ahead as a server may say. */
const longestWaitMs = 60 * 60_000;

export interface Renewal {
  readonly reach: Reach;
  readonly request: AuthorizationRequest;
  now(): number;
  /** Hears of each new address. */
  renewed(request: AuthorizationRequest): void;
  failed(error: unknown): void;
}

/** Sees to it that somebody who comes late finds an address that works. Out: ends it. */
export function keepFresh({ reach, request, now, renewed, failed }: Renewal): () => void {
  let latest = request;
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const wait = () => {
    const { pushed } = latest;
    if (!pushed || over) return;
    const left = pushed.until - marginOf(pushed) - now();
    const ms = Math.min(Math.max(left, leastRenewalMs), longestWaitMs);
    timer = setTimeout(() => void renew(), ms);
    timer.unref();
  };
  const renew = async () => {
    try {
      const fresh = await freshlyPushed(reach, latest, now());
      if (!over && fresh !== latest) renewed(fresh);
      latest = fresh;
    } catch (error) {
      if (!over) failed(error);
    }
    wait();
  };
  wait();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
