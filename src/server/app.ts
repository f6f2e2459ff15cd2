import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../lib/log.ts';
import type { PublicAddress } from './address.ts';
import type { ResourcePath } from './challenge.ts';
import { answerPreflight, type Exchange, refuse, refuseMethod } from './exchange.ts';
import type { Gate } from './gate.ts';
import { answerHealth, type HealthOptions, healthPaths } from './health.ts';
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
  readonly log: Log;
}

/**
 * Takes one request through the guards, cheapest first: Host, path, Origin, then the gate, then the transport.
 * Nothing before the gate costs a question to the authorization server, and no body is read before it.
 */
export function createApp(options: AppOptions) {
  const { address, health, documents, endpoints, about, page, gate, log } = options;

  async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const target = req.url ?? '/';
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const query = mark < 0 ? '' : target.slice(mark + 1);
    const repeated = repeatedHeader(req.rawHeaders);
    const method = req.method ?? '';
    if (repeated !== 'host' && healthPaths.has(path)) return answerHealth(path, method, res, health);
    const site = repeated === 'host' ? undefined : address.siteOf(req.headers.host);
    if (!site) {
      const nobody = { origin: '', basePath: '', base: '' };
      const x = { req, res, path, query, site: nobody, readableBy: undefined };
      if (repeated === 'host') return refuse(x, 400, 'invalid_request', 'More than one Host header');
      log.info('host refused', { host: req.headers.host, path });
      return refuse(x, 403, 'forbidden_host', 'This server does not go by the name in the Host header');
    }
    const x = { req, res, path, query, site, readableBy: undefined };
    const document = documents.get(path);
    if (document) return serveDocument({ ...x, readableBy: '*' }, document);
    const endpoint = endpoints.get(path);
    if (!endpoint && !about.has(path)) return refuse(x, 404, 'not_found', 'Nothing is here');
    const { origin } = req.headers;
    if (origin !== undefined && !address.admits(origin)) {
      log.info('origin refused; --allow-origin lets one in', { origin, path });
      return refuse(x, 403, 'forbidden_origin', 'Pages of this origin may not use this server');
    }
    const admitted = origin === undefined ? x : { ...x, readableBy: origin };
    if (!endpoint) return sayWhatThisIs(admitted, page);
    if (method === 'OPTIONS') return answerPreflight(admitted);
    if (!gate) return endpoint.handle(admitted, undefined);
    const principal = await gate.admit(admitted, endpoint.resource, repeated === 'authorization');
    if (principal) return endpoint.handle(admitted, principal);
  }

  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    try {
      await route(req, res);
    } catch (error) {
      log.error('a request failed', { path: req.url?.split('?')[0], error });
      log.debug('where it failed', { stack: (error as Error | undefined)?.stack });
      if (res.headersSent) res.destroy();
      else res.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"server_error"}');
    }
  };
}

function serveDocument(x: Exchange, document: (x: Exchange) => void): void {
  const { method } = x.req;
  if (method === 'GET' || method === 'HEAD') document(x);
  else if (method === 'OPTIONS') answerPreflight(x);
  else refuseMethod(x, 'GET, HEAD, OPTIONS');
}

function sayWhatThisIs(x: Exchange, page: (x: Exchange) => void): void {
  const { method } = x.req;
  if (method === 'OPTIONS') answerPreflight(x);
  else if (method !== 'GET' && method !== 'HEAD') refuseMethod(x, 'GET, HEAD, OPTIONS');
  else page(x);
}

/** Node joins or drops repeated headers; who sends two hosts or two tokens is up to something. */
function repeatedHeader(rawHeaders: readonly string[]): 'host' | 'authorization' | undefined {
  let hosts = 0;
  let authorizations = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
    else if (name.length === 13 && name.toLowerCase() === 'authorization') authorizations++;
  }
  return hosts > 1 ? 'host' : authorizations > 1 ? 'authorization' : undefined;
}
