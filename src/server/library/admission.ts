import type { Log } from '../../lib/log.ts';
import type { PublicAddress, ResourcePath, Site } from '../address.ts';
import { preflightReply, type Reply, refusal } from '../exchange.ts';
import type { Gate } from '../gate.ts';
import { type Asked, checkHost, checkOrigin, isReply, readingProblem } from '../guards.ts';
import type { Principal } from '../verify/principal.ts';
import type { EnteredSessions, SessionOwners } from './owners.ts';

/** What becomes of a request: an answer of ours, or it is let in. */
export interface Decision {
  /** What a browser page may read of the answer: the admitted Origin, `*` on public documents, or nothing. */
  readonly readableBy: string | undefined;
  readonly outcome: Reply | LetIn;
}

export interface LetIn {
  readonly principal: Principal;
  /** The resource that was asked for. */
  readonly resource: URL;
  readonly sessions: EnteredSessions;
}

export interface AdmissionOptions {
  readonly address: PublicAddress;
  /** The protected resources; the first one where a path tells nothing. */
  readonly paths: readonly ResourcePath[];
  readonly documents: ReadonlyMap<string, (site: Site) => Reply>;
  readonly gate: Gate;
  readonly owners: SessionOwners;
  readonly log: Log;
}

/**
 * The way of a request in front of a server that is not ours. The guards are those of our own, in their order, but
 * for the path: what is behind the gate is not known here, so that every path is protected that is no document.
 */
export function createAdmission(options: AdmissionOptions): (asked: Asked) => Promise<Decision> {
  const { address, paths, documents, gate, owners, log } = options;

  return async (asked) => {
    const { path, method, headers } = asked;
    const refuse = (outcome: Reply) => ({ readableBy: undefined, outcome });
    const site = checkHost(asked, address, log);
    if (isReply(site)) return refuse(site);
    const document = documents.get(path);
    if (document) return { readableBy: '*', outcome: readingProblem(asked) ?? document(site) };
    const foreign = checkOrigin(asked, address, log);
    if (foreign) return refuse(foreign);
    const readableBy = headers.origin;
    if (method === 'OPTIONS') return { readableBy, outcome: preflightReply(headers) };
    const resource = resourceAt(path, paths);
    const admission = await gate.admit(asked, site, resource);
    if (isReply(admission)) return { readableBy, outcome: admission };
    const sessions = owners.enter(admission, sessionNames(asked));
    if (!sessions) {
      return { readableBy, outcome: refusal(404, 'session_not_found', 'No such session: start again') };
    }
    const url = new URL(site.base + resource);
    return { readableBy, outcome: { principal: admission, resource: url, sessions } };
  };
}

/** The longest resource that the path is below, or the first one. */
function resourceAt(path: string, paths: readonly ResourcePath[]): ResourcePath {
  const above = paths.filter((one) => path === one || path.startsWith(`${one.replace(/\/$/, '')}/`));
  return above.sort((a, b) => b.length - a.length)[0] ?? paths[0] ?? '';
}

/**
 * The sessions that a request names: in the header of Streamable HTTP, and in the query of HTTP+SSE as the SDK writes
 * it. Some parsers of queries read `sessionId[]` and `[sessionId]` as the same name.
 */
function sessionNames({ headers, query }: Asked): readonly string[] {
  const named = headers['mcp-session-id'];
  const inQuery = [...new URLSearchParams(query)].filter(([name]) => name.includes('sessionId'));
  return [...(named === undefined ? [] : [named].flat()), ...inQuery.map(([, name]) => name)];
}
