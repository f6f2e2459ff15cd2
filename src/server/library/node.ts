import type { IncomingMessage, ServerResponse } from 'node:http';
import onHeaders from 'on-headers';
import type { Log } from '../../lib/log.ts';
import { tokenIn } from '../bearer.ts';
import type { CallerOf } from '../caller.ts';
import { corsHeaders, send } from '../exchange.ts';
import { type Asked, askedBy, isReply } from '../guards.ts';
import type { Decision } from './admission.ts';
import { introduce } from './auth-info.ts';
import { isEventStream, watchEndpoint } from './endpoint.ts';
import type { EnteredSessions } from './owners.ts';
import { endWithToken } from './streams.ts';
import type { AuthInfo, Gate } from './types.ts';

type Entered = IncomingMessage & { auth: AuthInfo };

export interface NodeOptions {
  readonly decide: (asked: Asked) => Promise<Decision>;
  readonly passToken: boolean;
  readonly callerOf: CallerOf;
  readonly log: Log;
}

/** The gate in front of handlers of `node:http`, and as a middleware. */
export function createNodeGate({
  decide,
  passToken,
  callerOf,
  log,
}: NodeOptions): Pick<Gate, 'middleware' | 'node'> {
  /** Out: the request, with who is calling; `undefined` when it has been answered. */
  async function enter(req: IncomingMessage, res: ServerResponse): Promise<Entered | undefined> {
    // A router that is mounted on a path cuts it off `url`.
    const { originalUrl } = req as { originalUrl?: string };
    const { readableBy, outcome } = await decide(askedBy(req, callerOf, originalUrl));
    if (isReply(outcome)) {
      send({ req, res, readableBy }, outcome);
      return undefined;
    }
    for (const [name, value] of Object.entries(corsHeaders({ readableBy }))) res.setHeader(name, value ?? '');
    watchSessions(req, res, outcome.sessions);
    const token = passToken ? tokenIn(req.headers.authorization) : takeToken(req);
    return Object.assign(req, { auth: introduce(outcome, token, req) });
  }

  return {
    middleware(req, res, next) {
      enter(req, res).then((entered) => {
        if (entered) next();
      }, next);
    },
    node: (handler) => (req, res) => {
      const run = async () => {
        const entered = await enter(req, res);
        if (entered) await handler(entered, res);
      };
      run().catch((error: unknown) => {
        log.error('a request failed', { path: req.url?.split('?')[0], error });
        if (res.headersSent) res.destroy();
        else res.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"server_error"}');
      });
    },
  };
}

/** Looks at an answer as it goes out: it may give a session its name, or open a stream. */
function watchSessions({ method }: IncomingMessage, res: ServerResponse, sessions: EnteredSessions): void {
  onHeaders(res, () => {
    const name = res.getHeader('mcp-session-id');
    if (typeof name === 'string') sessions.give(name);
    if (method !== 'GET' || !isEventStream(res.getHeader('content-type'))) return;
    const watch = watchEndpoint(sessions.give);
    const write = res.write.bind(res) as (chunk: string | Uint8Array, ...rest: never[]) => boolean;
    res.write = (chunk: string | Uint8Array, ...rest: never[]) => {
      watch(chunk);
      return write(chunk, ...rest);
    };
    // Cut, as a network may do it: whoever goes on writing is used to that, but not to the end of the answer.
    res.once(
      'close',
      endWithToken(sessions, () => res.destroy()),
    );
  });
}

/** Out: nothing in the token's place. The SDK shows a tool the request's headers. */
function takeToken(req: IncomingMessage): '' {
  delete req.headers.authorization;
  const { rawHeaders } = req;
  req.rawHeaders = rawHeaders.filter((_, i) => rawHeaders[i - (i % 2)]?.toLowerCase() !== 'authorization');
  return '';
}
