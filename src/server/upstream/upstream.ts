import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { SigningKey } from '../../lib/signing-key.ts';
import { type Exchange, refuse, refuseForNow, refuseMethod } from '../exchange.ts';
import { readBody } from '../mcp/body.ts';
import type { Sessions, Stream } from '../sessions/sessions.ts';
import type { Principal } from '../verify/principal.ts';
import { rewriteEndpoint } from './endpoint-event.ts';
import { createForward, headOf } from './forward.ts';
import { createHandles } from './handles.ts';
import { createIdentitySigner } from './identity.ts';

/** An MCP server behind the gate: what comes through is passed on in its own transport. */
export interface Upstream {
  /** Streamable HTTP, or the stream of HTTP+SSE: whatever the server behind the gate speaks. */
  relay(x: Exchange, principal: Principal | undefined): Promise<void>;
  /** The POSTs of HTTP+SSE. */
  messages(x: Exchange, principal: Principal | undefined): Promise<void>;
}

export interface UpstreamOptions {
  readonly url: URL;
  readonly key: SigningKey;
  /** Looks after the open streams: how many, how long, whose. */
  readonly sessions: Sessions;
  readonly http: HttpClient;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly draining: () => boolean;
}

const visible = /^[\x21-\x7e]{1,1024}$/;

export function createUpstream(options: UpstreamOptions): Upstream {
  const { url, key, sessions, log, now, draining } = options;
  const forward = createForward(options);
  const sessionNames = createHandles(key, 'session');
  const endpoints = createHandles(key, 'endpoint');
  const signer = createIdentitySigner({ key, audience: url.href, now });

  async function relay(x: Exchange, principal: Principal | undefined): Promise<void> {
    if (!principal) return refuse(x, 403, 'access_denied', 'Nobody may pass without an identity');
    const { method } = x.req;
    if (method !== 'POST' && method !== 'GET' && method !== 'DELETE') {
      return refuseMethod(x, 'GET, POST, DELETE, OPTIONS');
    }
    if (method === 'GET' && draining()) return refuseForNow(x, 'draining', 'The server is about to stop');
    const handle = x.req.headers['mcp-session-id'];
    const session = typeof handle === 'string' ? sessionNames.open(handle, principal.user) : undefined;
    if (handle !== undefined && session === undefined) return lost(x);
    const body = method === 'POST' ? await readBody(x) : undefined;
    if (method === 'POST' && !body) return;
    const identity = await signer.sign(principal, x.site.base);
    const incoming = await forward.open(x, { url, body: body?.text, identity, session });
    if (!incoming) return;
    if (method === 'GET' && isStream(incoming)) return openStream(x, incoming, principal);
    await pass(x, incoming, principal);
  }

  /** A whole answer, or the stream that answers one POST: the call is over when it is. */
  async function pass(x: Exchange, incoming: IncomingMessage, principal: Principal): Promise<void> {
    const given = incoming.headers['mcp-session-id'];
    const session =
      typeof given === 'string' && visible.test(given)
        ? { 'mcp-session-id': sessionNames.seal(given, principal.user) }
        : {};
    x.res.writeHead(incoming.statusCode ?? 502, headOf(x, incoming, session));
    await pipeline(incoming, x.res).catch((error: unknown) => cut(x, error));
  }

  /** A stream that lasts: it counts among the user's, and ends with their token. */
  async function openStream(x: Exchange, incoming: IncomingMessage, principal: Principal): Promise<void> {
    const { user, identity } = principal;
    let id: string = randomUUID();
    const rewritten = rewriteEndpoint((address) => {
      sessions.closed(id);
      id = endpoints.seal(behind(url, address), user);
      void sessions.open(streamOf(id, x.res), user, identity.expiresAt);
      return `${x.site.basePath}/messages?session=${id}`;
    });
    if (!(await sessions.open(streamOf(id, x.res), user, identity.expiresAt))) {
      incoming.destroy();
      return refuseForNow(x, 'too_many_streams', 'Too many open streams');
    }
    x.res.writeHead(200, headOf(x, incoming, {}));
    x.res.flushHeaders();
    // Not waited for: a stream is no call that a drain would have to see through.
    void pipeline(incoming, rewritten, x.res)
      .catch((error: unknown) => cut(x, error))
      .finally(() => sessions.closed(id));
  }

  async function messages(x: Exchange, principal: Principal | undefined): Promise<void> {
    if (!principal) return refuse(x, 403, 'access_denied', 'Nobody may pass without an identity');
    if (x.req.method !== 'POST') return refuseMethod(x, 'POST, OPTIONS');
    const handle = new URLSearchParams(x.query).get('session') ?? '';
    const path = endpoints.open(handle, principal.user);
    if (path === undefined) return lost(x);
    const body = await readBody(x);
    if (!body) return;
    const expiresAt = principal.identity.expiresAt;
    const held = await sessions.find(handle, principal.user);
    // The stream may be another replica's: there it ends with the token that it was opened with.
    if (typeof held === 'object') {
      await held.take({ answers: [], negotiated: undefined, counts: true, expiresAt }, () => {});
    }
    const identity = await signer.sign(principal, x.site.base);
    // Not resolved against the origin: a path may begin with two slashes, and would be taken for another host.
    const target = new URL(`${url.origin}${path}`);
    const incoming = await forward.open(x, { url: target, body: body.text, identity });
    if (incoming) await pass(x, incoming, principal);
  }

  function cut(x: Exchange, error: unknown): void {
    log.debug('an answer of the server behind the gate was broken off', { path: x.path, reason: error });
    x.res.destroy();
  }

  return { relay, messages };
}

/** Path and query of the address that an `endpoint` event names. Throws when it leads to another origin. */
function behind(url: URL, address: string): string {
  const target = URL.canParse(address, url.href) ? new URL(address, url.href) : undefined;
  if (target?.origin !== url.origin || target.username || target.password) {
    throw new Error('the endpoint event names another origin');
  }
  return target.pathname + target.search;
}

const isStream = ({ statusCode, headers }: IncomingMessage) =>
  statusCode === 200 && /^text\/event-stream\b/i.test(headers['content-type'] ?? '');

/** What is on the way comes from behind the gate, signs of life too: nothing of ours gets in between. */
function streamOf(id: string, res: ServerResponse): Stream {
  return {
    id,
    deliver: () => {},
    unsent: () => 0,
    comment: () => {},
    isOpen: () => res.writable && !res.destroyed,
    end: () => void res.end(),
    cut: () => void res.destroy(),
  };
}

function lost(x: Exchange): void {
  refuse(x, 404, 'session_not_found', 'No such session: start again');
}
