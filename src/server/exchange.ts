import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Site } from './address.ts';
import type { RequestRecord } from './record.ts';

/** One request on its way through the guards, with what they have found out about it. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The path without the query. */
  readonly path: string;
  readonly query: string;
  readonly site: Site;
  /** What a browser page may read of the answer: the admitted Origin, `*` on public documents, or nothing. */
  readonly readableBy: string | undefined;
  /** Where requests are logged and counted: what has been found out about this one. */
  readonly record?: RequestRecord | undefined;
}

/** What an answer needs to know of its exchange. */
export type Answering = Pick<Exchange, 'req' | 'res' | 'readableBy' | 'record'>;

/** A whole answer that is still to be sent, by whatever brought the request. */
export interface Reply {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
  /** The word that a request is refused with. */
  readonly refused?: string;
}

/** Methods and headers of the MCP transports that pages may use; `*` would not cover Authorization. */
const allowedMethods = 'GET, POST, DELETE, OPTIONS';
const allowedHeaders = [
  'Authorization',
  'Content-Type',
  'Accept',
  'Last-Event-ID',
  'Mcp-Session-Id',
  'MCP-Protocol-Version',
  'Mcp-Method',
  'Mcp-Name',
];
const exposedHeaders = 'Mcp-Session-Id, WWW-Authenticate, MCP-Protocol-Version, Retry-After';
/** Largest unread request body that is worth a connection: more, or slower, and the socket goes. */
const lingerBytes = 64 * 1024 * 1024;
const lingerMs = 2_000;

/** Headers that let a page read an answer (Fetch, CORS protocol), errors included. */
export function corsHeaders({ readableBy }: Pick<Exchange, 'readableBy'>): OutgoingHttpHeaders {
  if (readableBy === undefined) return {};
  const headers: OutgoingHttpHeaders = {
    'access-control-allow-origin': readableBy,
    'access-control-expose-headers': exposedHeaders,
  };
  if (readableBy !== '*') headers.vary = 'Origin';
  return headers;
}

/** Answers with a whole body. */
export function answer(x: Answering, status: number, headers: OutgoingHttpHeaders, body: string): void {
  if (x.readableBy !== undefined) Object.assign(headers, corsHeaders(x));
  // RFC 9110 8.6: a 204 has none.
  if (status !== 204) {
    const length = Buffer.byteLength(body);
    headers['content-length'] = length;
    if (x.record) x.record.bytes = length;
  }
  x.res.writeHead(status, headers);
  x.res.end(body);
}

/** Answers with JSON that no cache keeps. */
export function answerJson(
  x: Answering,
  status: number,
  value: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  const reply = jsonReply(status, value, headers);
  answer(x, status, reply.headers, reply.body);
}

/** JSON that no cache keeps. */
export function jsonReply(status: number, value: unknown, headers: OutgoingHttpHeaders = {}): Reply {
  headers['content-type'] = 'application/json';
  headers['cache-control'] ??= 'no-store';
  return { status, headers, body: JSON.stringify(value) };
}

/** An error, `{error, error_description}` (RFC 6749 5.2 in form). */
export function refusal(
  status: number,
  error: string,
  description: string,
  headers: OutgoingHttpHeaders = {},
): Reply {
  const reply = jsonReply(status, { error, error_description: description }, headers);
  return { ...reply, refused: error };
}

/**
 * Sends what was decided. After a refusal the request's body may still be on its way: it is read and thrown away
 * for a moment, so that the client gets to see the answer.
 */
export function send(x: Answering, { status, headers, body, refused }: Reply): void {
  if (refused !== undefined) noteRefusal(x, refused);
  answer(x, status, headers, body);
  if (status >= 400) linger(x.req);
}

/** Notes why a request is refused, by a fixed word; the first one stays. */
export function noteRefusal({ record }: Pick<Exchange, 'record'>, word: string): void {
  if (record) record.refused ??= word;
}

/** Answers with an error. */
export function refuse(x: Answering, ...what: Parameters<typeof refusal>): void {
  send(x, refusal(...what));
}

/** There is no room, or soon no server: another try in a few seconds may do better. In: the fixed word of the reason. */
export function refuseForNow(x: Exchange, word: string, why: string): void {
  noteRefusal(x, word);
  refuse(x, 503, 'temporarily_unavailable', why, { 'retry-after': '5' });
}

/** The answer to a method that the path does not know. */
export function refuseMethod(x: Answering, allow: string): void {
  send(x, methodRefusal(allow));
}

export function methodRefusal(allow: string): Reply {
  return refusal(405, 'method_not_allowed', `Allowed here: ${allow}`, { allow });
}

/** Discards what is left of the request, within bounds; beyond them the connection is cut. */
export function linger(req: IncomingMessage): void {
  const { headers } = req;
  const declared = Number(headers['content-length'] ?? 0);
  if (req.complete || (declared <= 65_536 && headers['transfer-encoding'] === undefined)) return;
  const cut = () => {
    if (!req.complete) req.socket.destroy();
  };
  const timer = setTimeout(cut, lingerMs).unref();
  let seen = 0;
  req.on('data', (chunk: Buffer) => {
    seen += chunk.length;
    if (seen > lingerBytes) cut();
  });
  req.once('close', () => clearTimeout(timer));
}

/** The end of a preflight request: what a page of an admitted origin may send. */
export function answerPreflight(x: Answering): void {
  send(x, preflightReply(x.req.headers));
}

export function preflightReply(headers: IncomingHttpHeaders): Reply {
  const asked = String(headers['access-control-request-headers'] ?? '');
  const named = asked.split(',').map((name) => name.trim());
  const parameters = named.filter((name) => /^mcp-param-[a-z0-9-]{1,64}$/i.test(name)).slice(0, 32);
  return {
    status: 204,
    headers: {
      allow: allowedMethods,
      'access-control-allow-methods': allowedMethods,
      'access-control-allow-headers': [...allowedHeaders, ...parameters].join(', '),
      'access-control-max-age': '600',
    },
    body: '',
  };
}
