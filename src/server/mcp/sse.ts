import type { ServerResponse } from 'node:http';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import type { Log } from '../../lib/log.ts';
import {
  answer,
  corsHeaders,
  type Exchange,
  noteRefusal,
  refuse,
  refuseForNow,
  refuseMethod,
} from '../exchange.ts';
import { answerUnavailable } from '../gate.ts';
import { noteRequest } from '../record.ts';
import type { Sessions, Stream } from '../sessions/sessions.ts';
import type { Principal } from '../verify/principal.ts';
import { runPost } from './post.ts';

export interface Sse {
  /** `GET /sse` opens the stream. */
  stream(x: Exchange, principal: Principal | undefined): Promise<void>;
  /** `POST /messages?sessionId=ID` is taken with 202; its answer comes on the stream. */
  messages(x: Exchange, principal: Principal | undefined): Promise<void>;
}

export interface SseOptions {
  readonly sessions: Sessions;
  readonly draining: () => boolean;
  readonly log: Log;
}

/** By which `record.ts` and `caller.ts` know a request. */
const loggedHeaders = ['traceparent', 'x-forwarded-for'];

/** The user of all sessions when there is no authentication; no JSON text of a principal equals it. */
const anybody = '';

/** HTTP+SSE (MCP 2024-11-05, transports). */
export function createSse({ sessions, draining, log }: SseOptions): Sse {
  return {
    async stream(x, principal) {
      if (x.req.method !== 'GET') return refuseMethod(x, 'GET, OPTIONS');
      if (draining()) return refuseForNow(x, 'draining', 'The server is about to stop');
      if (x.res.destroyed || x.res.socket === null) return;
      const transport = new SSEServerTransport(`${x.site.basePath}/messages`, x.res);
      const stream = streamOf(transport, x.res);
      const user = principal?.user ?? anybody;
      if (!(await sessions.open(stream, user, principal?.identity.expiresAt))) {
        noteRequest(x, log, 'no room for another stream; --max-sessions', { open: sessions.size() });
        return refuseForNow(x, 'too_many_streams', 'Too many open streams');
      }
      // Where replicas share sessions, telling them took a moment.
      if (x.res.destroyed) return sessions.closed(stream.id);
      transport.onclose = () => sessions.closed(stream.id);
      for (const [name, value] of Object.entries(corsHeaders(x))) x.res.setHeader(name, value ?? '');
      x.res.setHeader('x-accel-buffering', 'no');
      void transport.start();
      forgetRequest(x);
      noteRequest(x, log, 'stream open', {});
    },

    async messages(x, principal) {
      if (x.req.method !== 'POST') return refuseMethod(x, 'POST, OPTIONS');
      const id = new URLSearchParams(x.query).get('sessionId') ?? '';
      const session = await sessions.find(id, principal?.user ?? anybody);
      if (session === 'away')
        return answerUnavailable(x, 'Where sessions are kept cannot be reached; try again', 1);
      if (session === 'foreign') noteRefusal(x, 'foreign_session');
      if (!session || session === 'foreign')
        return refuse(x, 404, 'session_not_found', 'No such session: open GET /sse again');
      const posted = await runPost(x, principal, session.revision);
      if (!posted) return;
      const outcome = { ...posted, expiresAt: principal?.identity.expiresAt };
      await session.take(outcome, () => answer(x, 202, {}, ''));
    },
  };
}

/**
 * The SDK's transport opens the stream, names the session (a random UUID: 122 bits, and it lets nobody choose)
 * and frames the messages. POSTs do not go through it: it parses a second time, answers 400 where 413 and -32700
 * belong, and sends the event before the 202.
 */
function streamOf(transport: SSEServerTransport, res: ServerResponse): Stream {
  return {
    id: transport.sessionId,
    deliver(message) {
      if (res.writable) void transport.send(message as JSONRPCMessage);
    },
    unsent: () => res.writableLength,
    comment(text) {
      if (res.writable && res.headersSent) res.write(`: ${text}\n\n`);
    },
    isOpen: () => res.writable && !res.destroyed,
    end() {
      if (!res.headersSent) res.destroy();
      else if (res.writable) res.end(': closing\n\n');
    },
    cut: () => void res.destroy(),
  };
}

/** A stream lives for hours: the token in its request's headers need not. What the log names it by stays. */
function forgetRequest({ req }: Exchange): void {
  const kept = loggedHeaders.flatMap((name) => {
    const value = req.headers[name];
    return value === undefined ? [] : [[name, value]];
  });
  req.rawHeaders = [];
  req.headers = Object.fromEntries(kept);
}
