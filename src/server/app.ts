import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../lib/log.ts';
import type { PublicAddress, ResourcePath } from './address.ts';
import type { CallerOf } from './caller.ts';
import type { ServerObserver } from './events.ts';
import { answerPreflight, type Exchange, refuse, send } from './exchange.ts';
import type { Gate } from './gate.ts';
import { type Asked, askedBy, checkHost, checkOrigin, isReply, readingProblem } from './guards.ts';
import { answerHealth, type HealthOptions, healthPaths } from './health.ts';
import type { Rates } from './rates.ts';
import { openRecord, type RequestRecord } from './record.ts';
import type { Principal } from './verify/principal.ts';

/** One MCP endpoint behind the gate. */
export interface Endpoint {
  /** Whose protected resource metadata a challenge names. */
  readonly resource: ResourcePath;
  handle(x: Exchange, principal: Principal | undefined): void | Promise<void>;
}

export interface AppOptions {
  readonly address: PublicAddress;
  readonly health: HealthOptions;
  /** Public documents by path: readable by everybody. */
  readonly documents: ReadonlyMap<string, (x: Exchange) => void>;
  /** MCP endpoints by path. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** Paths that say what this is. */
  readonly about: ReadonlySet<string>;
  /** Says it, to people and to programs. */
  readonly page: (x: Exchange) => void;
  /** `undefined` without authentication. */
  readonly gate: Gate | undefined;
  /** What each user may send. */
  readonly rates: Rates;
  readonly callerOf: CallerOf;
  /** Told of each request when it is answered. */
  readonly observe: ServerObserver;
  readonly log: Log;
}

/**
 * Takes one request through the guards, cheapest first: Host, path, Origin, then the gate, then the transport.
 * Nothing before the gate costs a question to the authorization server, and no body is read before it.
 */
export function createApp(options: AppOptions) {
  const { address, health, documents, endpoints, about, page, gate, rates, callerOf, observe, log } = options;

  async function route(record: RequestRecord, res: ServerResponse): Promise<void> {
    const { req } = record;
    const asked = askedBy(req, callerOf, req.url, record);
    const { method, path, query, headers } = asked;
    if (asked.repeated !== 'host' && healthPaths.has(path)) {
      record.route = 'health';
      return answerHealth(path, method, res, health);
    }
    const site = checkHost(asked, address, log);
    if (isReply(site)) return send({ req, res, readableBy: undefined, record }, site);
    const x = { req, res, path, query, site, readableBy: undefined, record };
    const document = documents.get(path);
    if (document) {
      record.route = 'document';
      return serveDocument(asked, { ...x, readableBy: '*' }, document);
    }
    const endpoint = endpoints.get(path);
    if (!endpoint && !about.has(path)) return refuse(x, 404, 'not_found', 'Nothing is here');
    record.route = endpoint ? path.slice(path.lastIndexOf('/') + 1) : 'page';
    const foreign = checkOrigin(asked, address, log);
    if (foreign) return send(x, foreign);
    const admitted = headers.origin === undefined ? x : { ...x, readableBy: headers.origin };
    if (!endpoint) return serveDocument(asked, admitted, page);
    if (method === 'OPTIONS') return answerPreflight(admitted);
    if (!gate) return endpoint.handle(admitted, undefined);
    const admission = await gate.admit(asked, site, endpoint.resource);
    if (isReply(admission)) return send(admitted, admission);
    record.principal = admission;
    if (!rates.take(admission.user)) return tooOften(admitted);
    return endpoint.handle(admitted, admission);
  }

  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const record = openRecord(req);
    try {
      await route(record, res);
    } catch (error) {
      log.error('a request failed', { path: req.url?.split('?')[0], error });
      log.debug('where it failed', { stack: (error as Error | undefined)?.stack });
      if (res.headersSent) res.destroy();
      else res.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"server_error"}');
    }
    record.status = res.headersSent ? res.statusCode : 0;
    record.milliseconds = performance.now() - record.startedAt;
    observe({ name: 'request', record });
  };
}

/** Nothing has run: the client keeps what it has and tries again. */
function tooOften(x: Exchange): void {
  refuse(x, 429, 'too_many_calls', 'Too many requests of one user', { 'retry-after': '1' });
}

function serveDocument(asked: Asked, x: Exchange, document: (x: Exchange) => void): void {
  const problem = readingProblem(asked);
  if (problem) send(x, problem);
  else document(x);
}
