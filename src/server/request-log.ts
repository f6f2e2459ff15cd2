import type { Log } from '../lib/log.ts';
import type { CallerOf } from './caller.ts';
import type { ServerObserver } from './events.ts';
import { shortHash } from './gate.ts';
import { type RequestRecord, requestId } from './record.ts';
import type { Principal } from './verify/principal.ts';

export interface RequestLogOptions {
  readonly log: Log;
  /** `all`: every request is worth a line at info. `failed`: the good ones have theirs at debug. */
  readonly logRequests: () => 'all' | 'failed';
  readonly callerOf: CallerOf;
}

/**
 * One line a request: its id, route, status, how long it took, and who it was as a short hash. Never a token, a query
 * or a name. Probes are seldom news: theirs are at debug.
 */
export function createRequestLog({ log, logRequests, callerOf }: RequestLogOptions): ServerObserver {
  return (event) => {
    if (event.name !== 'request') return;
    const { record } = event;
    const news = record.note !== undefined || (record.route !== 'health' && isNews(record, logRequests()));
    if (!news && log.level !== 'debug') return;
    log[news ? 'info' : 'debug'](record.note?.message ?? messageOf(record), fieldsOf(record, callerOf));
  };
}

/** A challenge is how each sign-in begins, no failure. */
function isNews({ status, refused }: RequestRecord, which: 'all' | 'failed'): boolean {
  return which === 'all' || ((status >= 400 || status === 0) && refused !== 'unauthorized');
}

function messageOf({ status }: RequestRecord): string {
  if (status === 0) return 'request broken off';
  return status >= 400 ? 'request refused' : 'request';
}

function fieldsOf(record: RequestRecord, callerOf: CallerOf) {
  const { req, route, status, milliseconds, bytes, principal, refused, note } = record;
  return {
    ...note?.fields,
    route,
    // The path of a route of ours says nothing more; a stranger's does.
    ...(route === 'none' ? { path: (req.url ?? '').split('?')[0] } : {}),
    method: req.method,
    status,
    refused,
    ms: Math.round(milliseconds * 10) / 10,
    bytes,
    ...(principal ? { user: userHash(principal), client: principal.identity.clientId } : {}),
    from: callerOf(req),
    id: requestId(req),
  };
}

const hashes = new WeakMap<Principal, string>();

function userHash(principal: Principal): string {
  let hash = hashes.get(principal);
  if (hash === undefined) {
    hash = shortHash(principal.user);
    hashes.set(principal, hash);
  }
  return hash;
}
