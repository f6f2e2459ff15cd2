import type { IncomingMessage } from 'node:http';
import {
  type DpopChallenge,
  dpopChallenge,
  type TokenChallenge,
  tokenChallenge,
} from '../../lib/challenge.ts';
import { AppError } from '../../lib/errors.ts';
import { readAll } from '../../lib/http.ts';
import { isObject, parseJsonObject } from '../../lib/json.ts';
import { secureUrl } from '../../lib/url.ts';
import { version } from '../../lib/version.ts';
import { type Reach, sameOriginTarget, serverFailure } from './reach.ts';

/** What an MCP server says to somebody without a token. */
export type Probe =
  /** It answers MCP: no token wanted, so far. */
  | { readonly wants: 'nothing' }
  | {
      readonly wants: 'token';
      readonly challenge: TokenChallenge | undefined;
      readonly dpop: DpopChallenge | undefined;
    }
  /** Neither an MCP answer nor a 401. `absent`: 404, however it was asked. */
  | { readonly wants: 'unclear'; readonly status: number; readonly absent: boolean };

const accept = 'application/json, text/event-stream';

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'mcp-whoami', version } },
});

/**
 * Asks an MCP server without a token, as the transport that its path suggests would, then as the other one.
 * A session that an open server made for it is deleted again.
 *
 * Throws AppError `server_unreachable`.
 */
export async function probeServer(reach: Reach, server: URL): Promise<Probe> {
  const ways = /\/sse\/?$/.test(server.pathname) ? (['GET', 'POST'] as const) : (['POST', 'GET'] as const);
  let [status, absent] = [0, true];
  for (const method of ways) {
    const probe = await ask(reach, server, method);
    if (probe.wants !== 'unclear') return probe;
    status = Math.max(status, probe.status);
    absent &&= probe.absent;
  }
  if (status < 500) return { wants: 'unclear', status, absent };
  throw new AppError('server_unreachable', `the MCP server ${server.href} answers with status ${status}`, {
    hint: 'it is there, but broken or starting: try again later',
  });
}

async function ask(reach: Reach, server: URL, method: 'GET' | 'POST'): Promise<Probe> {
  let url = secureUrl(server.href, 'the server URL', reach.policy);
  for (let hops = 0; ; hops++) {
    const incoming = await send(reach, url, method);
    const { location } = incoming.headers;
    if (!isRedirect(incoming) || location === undefined || hops === 5) return judge(reach, url, incoming);
    incoming.destroy();
    url = secureUrl(sameOriginTarget(location, url.href, 'the MCP server'), 'the server URL', reach.policy);
  }
}

async function send(reach: Reach, url: URL, method: 'GET' | 'POST'): Promise<IncomingMessage> {
  const { signal } = reach;
  const lookup = reach.guard.lookupServer;
  try {
    return method === 'GET'
      ? await reach.http.open(url, { headers: { accept }, signal, lookup })
      : await reach.http.open(url, {
          method,
          headers: { accept, 'content-type': 'application/json' },
          body: initialize,
          signal,
          lookup,
        });
  } catch (error) {
    if (signal?.aborted && signal.reason instanceof AppError) throw signal.reason;
    throw serverFailure(error, url);
  }
}

async function judge(reach: Reach, url: URL, incoming: IncomingMessage): Promise<Probe> {
  const status = incoming.statusCode ?? 0;
  const session = incoming.headers['mcp-session-id'];
  try {
    if (status === 401) {
      const header = incoming.headers['www-authenticate'];
      return { wants: 'token', challenge: tokenChallenge(header), dpop: dpopChallenge(header) };
    }
    if (await speaksMcp(incoming, status, url)) {
      if (typeof session === 'string') await endSession(reach, url, session);
      return { wants: 'nothing' };
    }
    return { wants: 'unclear', status, absent: status === 404 };
  } finally {
    incoming.destroy();
  }
}

/** An event stream, or a JSON-RPC message: also an error, which a 2026-07-28 server answers to `initialize`. */
async function speaksMcp(incoming: IncomingMessage, status: number, url: URL): Promise<boolean> {
  const type = incoming.headers['content-type']?.toLowerCase() ?? '';
  if (status === 200 && type.startsWith('text/event-stream')) return true;
  if (!type.startsWith('application/json') || ![200, 400, 404].includes(status)) return false;
  const giveUp = setTimeout(() => incoming.destroy(), 5_000);
  try {
    const message = parseJsonObject(await readAll(incoming, 256 * 1024, url), url.origin);
    return message.jsonrpc === '2.0' && (isObject(message.result) || isObject(message.error));
  } catch {
    return false;
  } finally {
    clearTimeout(giveUp);
  }
}

async function endSession(reach: Reach, url: URL, session: string): Promise<void> {
  if (!/^[\x21-\x7e]{1,1024}$/.test(session)) return;
  const headers = { 'mcp-session-id': session };
  await reach.http.read(url, { method: 'DELETE', headers, totalTimeoutMs: 2_000 }).catch(() => {});
}

function isRedirect({ statusCode = 0 }: IncomingMessage): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode);
}
