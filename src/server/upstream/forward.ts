import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import { describeNetworkError, neverSent } from '../../lib/network-error.ts';
import { answerJson, corsHeaders, type Exchange } from '../exchange.ts';
import { answerUnavailable } from '../gate.ts';
import { rpcCodes, rpcError } from '../mcp/messages.ts';
import { identityHeader } from './identity.ts';

/**
 * What a request takes along, by name: nothing else does, so that no token, cookie or identity of the caller's own
 * making gets through (MCP security best practices, "Token Passthrough").
 */
const requestHeaders = [
  'accept',
  'accept-language',
  'content-type',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'traceparent',
  'tracestate',
  'user-agent',
];
const responseHeaders = ['allow', 'content-language', 'content-type', 'mcp-protocol-version', 'retry-after'];

export interface ForwardOptions {
  readonly http: HttpClient;
  readonly log: Log;
}

export interface Request {
  readonly url: URL;
  readonly body?: string | undefined;
  /** The signed identity of the caller. */
  readonly identity: string;
  /** The upstream's own name of the session. */
  readonly session?: string | undefined;
}

/** Sends one request on to the server behind the gate. */
export interface Forward {
  /**
   * Out: its answer, which the caller passes on; `undefined` when ours has been given already: 502 or 503 with a
   * JSON-RPC error. The exchange ends when our own client leaves.
   */
  open(x: Exchange, request: Request): Promise<IncomingMessage | undefined>;
}

export function createForward({ http, log }: ForwardOptions): Forward {
  // As many as there are of our own clients, whose number the listener bounds: with fewer, streams and calls that
  // hang would keep everybody else waiting.
  const lane = http.fork({ maxSockets: Number.POSITIVE_INFINITY });
  return {
    async open(x, { url, body, identity, session }) {
      const left = new AbortController();
      x.res.once('close', () => left.abort());
      const headers = {
        ...chosen(x.req.headers, requestHeaders),
        ...parametersIn(x.req.headers),
        ...(session === undefined ? {} : { 'mcp-session-id': session }),
        [identityHeader]: identity,
      };
      let incoming: IncomingMessage;
      try {
        const method = x.req.method ?? 'GET';
        incoming = await lane.open(url, { method, headers, body, signal: left.signal, headersTimeoutMs: 0 });
      } catch (error) {
        if (left.signal.aborted) return undefined;
        log.warn('the server behind the gate does not answer', {
          path: x.path,
          reason: describeNetworkError(error, url),
        });
        // Nothing was sent: the client may try again. Else nobody knows whether it has run.
        if (neverSent(error)) answerUnavailable(x, 'The server behind the gate cannot be reached', 2);
        else badGateway(x, 'The server behind the gate broke off; the request may have run');
        return undefined;
      }
      const status = incoming.statusCode ?? 0;
      // Its own idea of authentication or of addresses is not one for our clients.
      if (![401, 403, 407].includes(status) && (status < 300 || status > 399)) return incoming;
      incoming.destroy();
      log.warn('the server behind the gate wants something else', { path: x.path, status });
      badGateway(x, `The server behind the gate answered with status ${status}`);
      return undefined;
    },
  };
}

/** The head of an answer that is passed on. In: further headers. */
export function headOf(
  x: Exchange,
  incoming: IncomingMessage,
  more: OutgoingHttpHeaders,
): OutgoingHttpHeaders {
  return {
    ...chosen(incoming.headers, responseHeaders),
    // The server behind the gate does not know that a token was asked for, and may call an answer public.
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
    ...corsHeaders(x),
    ...more,
  };
}

function badGateway(x: Exchange, text: string): void {
  if (x.res.headersSent) x.res.destroy();
  else answerJson(x, 502, rpcError(null, rpcCodes.internalError, text));
}

function chosen(from: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, from[name]] as const);
  return Object.fromEntries(found.filter((one): one is [string, string] => typeof one[1] === 'string'));
}

/** `Mcp-Param-*` (revision 2026-07-28, tools). */
function parametersIn(from: IncomingHttpHeaders): Record<string, string> {
  const names = Object.keys(from).filter((name) => /^mcp-param-[a-z0-9-]{1,64}$/.test(name));
  return chosen(from, names.slice(0, 32));
}
