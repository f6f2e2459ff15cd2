import type { OutgoingHttpHeaders } from 'node:http';
import type { Log } from '../../lib/log.ts';
import { tokenIn } from '../bearer.ts';
import { corsHeaders } from '../exchange.ts';
import { type Asked, isReply } from '../guards.ts';
import type { Decision } from './admission.ts';
import { introduce } from './auth-info.ts';
import { isEventStream, watchEndpoint } from './endpoint.ts';
import type { EnteredSessions } from './owners.ts';
import { endWithToken } from './streams.ts';
import type { FetchHandler, Gate } from './types.ts';

export interface FetchOptions {
  readonly decide: (asked: Asked) => Promise<Decision>;
  readonly passToken: boolean;
  readonly log: Log;
}

/** The gate in front of handlers that take a `Request` and give a `Response`. */
export function createFetchGate({ decide, passToken, log }: FetchOptions): Gate['fetch'] {
  async function answer(request: Request, handler: FetchHandler): Promise<Response> {
    const { readableBy, outcome } = await decide(askedBy(request));
    const cors = textHeaders(corsHeaders({ readableBy }));
    if (isReply(outcome)) {
      const { status, headers, body } = outcome;
      const hasBody = status !== 204 && request.method !== 'HEAD';
      return new Response(hasBody ? body : null, { status, headers: { ...textHeaders(headers), ...cors } });
    }
    const token = passToken ? tokenIn(request.headers.get('authorization')) : '';
    const inside = passToken ? request : withoutToken(request);
    const authInfo = introduce(outcome, token, request, inside);
    const response = await handler(inside, { authInfo, identity: outcome.principal.identity });
    const watched = watchSessions(request, response, outcome.sessions);
    return readableBy === undefined ? watched : withHeaders(watched, cors);
  }

  return (handler) => async (request) => {
    try {
      return await answer(request, handler);
    } catch (error) {
      log.error('a request failed', { path: new URL(request.url).pathname, error });
      return Response.json({ error: 'server_error' }, { status: 500 });
    }
  };
}

/** Header lines of one name are joined here: two hosts are no name of ours, two tokens are no token. */
function askedBy({ method, url, headers }: Request): Asked {
  const { pathname, search, host } = new URL(url);
  return {
    method,
    path: pathname,
    query: search.slice(1),
    headers: { host, ...Object.fromEntries(headers) },
    repeated: undefined,
    from: () => undefined,
  };
}

/** Looks at an answer as it goes out: it may give a session its name, or open a stream. */
function watchSessions({ method }: Request, response: Response, sessions: EnteredSessions): Response {
  const name = response.headers.get('mcp-session-id');
  if (name !== null) sessions.give(name);
  const isStream = method === 'GET' && isEventStream(response.headers.get('content-type'));
  if (!isStream || !response.body) return response;
  const watch = watchEndpoint(sessions.give);
  let gone = () => {};
  const watcher = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      gone = endWithToken(sessions, () => controller.terminate());
    },
    transform(chunk, controller) {
      watch(chunk);
      controller.enqueue(chunk);
    },
  });
  const { readable, writable } = watcher;
  void response.body
    .pipeTo(writable)
    .catch(() => {})
    .finally(() => gone());
  return new Response(readable, response);
}

function withoutToken(request: Request): Request {
  const headers = new Headers(request.headers);
  headers.delete('authorization');
  return new Request(request, { headers });
}

/** The headers of a response need not be changeable. */
function withHeaders(response: Response, more: Record<string, string>): Response {
  const changed = new Response(response.body, response);
  for (const [name, value] of Object.entries(more)) {
    changed.headers[name === 'vary' ? 'append' : 'set'](name, value);
  }
  return changed;
}

function textHeaders(headers: OutgoingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
