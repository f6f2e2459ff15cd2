import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Log } from '../lib/log.ts';
import type { PublicAddress, Site } from './address.ts';
import type { CallerOf } from './caller.ts';
import { methodRefusal, preflightReply, type Reply, refusal } from './exchange.ts';
import { noteRequest, type RequestRecord } from './record.ts';

/** A request as the guards look at it, whatever brought it. */
export interface Asked {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  /** A header that may come once, and came twice: who sends two hosts or two tokens is up to something. */
  readonly repeated: 'host' | 'authorization' | undefined;
  /** The address of whoever sent it; `undefined` where nobody knows. */
  from(): string | undefined;
  /** Where requests are logged and counted: what has been found out about this one. */
  readonly record?: RequestRecord | undefined;
}

/**
 * Reads what the guards look at off one of Node's requests. In: what finds the caller, the target when it is not
 * `req.url` any more, and the request's record where it has one.
 */
export function askedBy(
  req: IncomingMessage,
  callerOf: CallerOf,
  target = req.url ?? '/',
  record?: RequestRecord,
): Asked {
  const mark = target.indexOf('?');
  return {
    method: req.method ?? '',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    headers: req.headers,
    repeated: repeatedHeader(req.rawHeaders),
    from: () => callerOf(req),
    record,
  };
}

/** The first guard, on every path. Out: the site that the Host header names, or the refusal (DNS rebinding). */
export function checkHost(asked: Asked, address: PublicAddress, log: Log): Site | Reply {
  const { headers, path, repeated } = asked;
  if (repeated === 'host') return refusal(400, 'invalid_request', 'More than one Host header');
  const site = address.siteOf(headers.host);
  if (site) return site;
  noteRequest(asked, log, 'host refused', { host: headers.host, path });
  return refusal(403, 'forbidden_host', 'This server does not go by the name in the Host header');
}

/** The guard of everything that is not public. Out: the refusal of a page that may not use us. */
export function checkOrigin(asked: Asked, address: PublicAddress, log: Log): Reply | undefined {
  const { headers, path } = asked;
  const { origin } = headers;
  if (origin === undefined || address.admits(origin)) return undefined;
  noteRequest(asked, log, 'origin refused; --allow-origin lets one in', { origin, path });
  return refusal(403, 'forbidden_origin', 'Pages of this origin may not use this server');
}

/** A public document answers those who read it, and pages that ask whether they may. */
export function readingProblem({ method, headers }: Asked): Reply | undefined {
  if (method === 'GET' || method === 'HEAD') return undefined;
  return method === 'OPTIONS' ? preflightReply(headers) : methodRefusal('GET, HEAD, OPTIONS');
}

export function isReply(value: object): value is Reply {
  return 'status' in value;
}

/** Node joins or drops repeated headers. */
function repeatedHeader(rawHeaders: readonly string[]): Asked['repeated'] {
  let hosts = 0;
  let authorizations = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
    else if (name.length === 13 && name.toLowerCase() === 'authorization') authorizations++;
  }
  return hosts > 1 ? 'host' : authorizations > 1 ? 'authorization' : undefined;
}
