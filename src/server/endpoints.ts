import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { ServerSettings } from '../lib/settings.ts';
import { publicPart, type SigningKey } from '../lib/signing-key.ts';
import type { Endpoint } from './app.ts';
import { answerJson, type Exchange } from './exchange.ts';
import { createSse } from './mcp/sse.ts';
import { handleStreamable } from './mcp/streamable.ts';
import type { Sessions } from './sessions/sessions.ts';
import { createUpstream } from './upstream/upstream.ts';

export interface EndpointOptions {
  readonly settings: Pick<ServerSettings, 'upstream'>;
  /** Signs who calls, for the server behind the gate. */
  readonly identityKey?: SigningKey | undefined;
  readonly sessions: Sessions;
  readonly http: HttpClient;
  readonly log: Log;
  readonly now: () => number;
  readonly draining: () => boolean;
}

/** What answers behind the gate, by path, and the public documents that it needs. */
export interface Endpoints {
  readonly protected: Readonly<Record<string, Endpoint>>;
  readonly documents: Readonly<Record<string, (x: Exchange) => void>>;
}

/** Our own server with its one tool, or the one that we are the gate of. */
export function createEndpoints(options: EndpointOptions): Endpoints {
  const { identityKey: key } = options;
  const { upstream: url } = options.settings;
  if (!url || !key) {
    const sse = createSse(options);
    return {
      protected: {
        '/sse': { resource: '/sse', handle: sse.stream },
        '/messages': { resource: '/sse', handle: sse.messages },
        '/mcp': { resource: '/mcp', handle: handleStreamable },
      },
      documents: {},
    };
  }
  const upstream = createUpstream({ ...options, url, key });
  return {
    protected: {
      '/sse': { resource: '/sse', handle: upstream.relay },
      '/messages': { resource: '/sse', handle: upstream.messages },
      '/mcp': { resource: '/mcp', handle: upstream.relay },
    },
    documents: {
      '/.well-known/jwks.json': (x) => answerJson(x, 200, { keys: [publicPart(key)] }, keysForAWhile()),
    },
  };
}

const keysForAWhile = () => ({ 'cache-control': 'max-age=300' });
