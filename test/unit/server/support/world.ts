import { createHttpClient } from '../../../../src/lib/http.ts';
import { createLog } from '../../../../src/lib/log.ts';
import type { IssuerRules, ServerSettings } from '../../../../src/lib/settings.ts';
import type { SigningKey } from '../../../../src/lib/signing-key.ts';
import type { ServerObserver } from '../../../../src/server/events.ts';
import { openWhoamiServer, type WhoamiServer } from '../../../../src/server/server.ts';
import { openTestProvider, type TestProvider } from './provider.ts';
import { exchange, type RawAnswer } from './raw.ts';

export interface World {
  readonly server: WhoamiServer;
  readonly provider: TestProvider;
  readonly origin: string;
  /** How the tokens of the first issuer are verified, as the start-up line tells it. */
  verification(): string;
  /** What was logged so far. */
  log(): string;
  /** Moves the server's clock on. */
  pass(ms: number): void;
  /** An access token for this server. */
  token(sub?: string): Promise<string>;
  /** One request over a socket of its own, headers exactly as given (Host is added when there is none). */
  send(
    method: string,
    path: string,
    headers?: Record<string, string> | readonly (readonly [string, string])[],
    body?: string,
  ): Promise<RawAnswer>;
  /** A JSON-RPC POST to `/mcp`. */
  rpc(token: string | undefined, message: unknown, headers?: Record<string, string>): Promise<RawAnswer>;
  close(): Promise<void>;
}

export interface WorldOptions {
  /** Settings of the server, and rules for its provider. */
  readonly settings?: Partial<ServerSettings & IssuerRules>;
  readonly provider?: TestProvider;
  readonly pingMs?: number;
  readonly livenessMs?: number;
  readonly identityKey?: SigningKey;
  readonly observe?: ServerObserver;
  /** False: the provider is not waited for. */
  readonly wait?: boolean;
}

export const defaults: ServerSettings = {
  host: '127.0.0.1',
  port: 0,
  issuers: [],
  claims: undefined,
  publicUrl: undefined,
  pageClientId: undefined,
  allowOrigin: [],
  staleMs: 300_000,
  maxSessions: 10_000,
  redis: undefined,
  upstream: undefined,
  drainDelayMs: 0,
  tls: undefined,
  trustProxy: [],
  userRate: undefined,
  metricsPort: undefined,
  logRequests: 'failed',
  noAuth: false,
};

export const defaultRules: IssuerRules = {
  metadata: undefined,
  userinfoUrl: undefined,
  verify: 'auto',
  audience: undefined,
  requiredScope: undefined,
  allow: [],
  introspection: undefined,
};

/** A whoami server and its provider, each on a port of its own. */
export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const provider = options.provider ?? (await openTestProvider());
  const rules = { ...defaultRules, ...options.settings };
  const http = createHttpClient({ userAgent: 'test/1' });
  let logged = '';
  let ahead = 0;
  const server = await openWhoamiServer({
    settings: { ...defaults, issuers: [{ ...rules, issuer: provider.issuer }], ...options.settings },
    http,
    log: createLog({
      level: 'debug',
      write: (line) => {
        logged += line;
      },
    }),
    now: () => Date.now() + ahead,
    ...(options.pingMs ? { pingMs: options.pingMs } : {}),
    ...(options.livenessMs ? { livenessMs: options.livenessMs } : {}),
    ...(options.observe ? { observe: options.observe } : {}),
    identityKey: options.identityKey,
  });
  if (options.wait !== false) await server.ready;
  const { port } = server;
  const send: World['send'] = (method, path, headers = {}, body = '') => {
    const list = Array.isArray(headers)
      ? (headers as [string, string][])
      : Object.entries(headers as Record<string, string>);
    return exchange(port, method, path, list, body);
  };
  return {
    server,
    provider,
    origin: `http://127.0.0.1:${port}`,
    verification: () => server.issuers[0]?.verification() ?? '',
    log: () => logged,
    pass: (ms) => {
      ahead += ms;
    },
    token: (sub = 'alice') => provider.jwt({ sub, claims: { aud: `http://127.0.0.1:${port}/sse` } }),
    send,
    rpc: (token, message, headers = {}) =>
      send(
        'POST',
        '/mcp',
        {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...headers,
        },
        typeof message === 'string' ? message : JSON.stringify(message),
      ),
    async close() {
      await server.close();
      http.close();
      if (!options.provider) await provider.close();
    },
  };
}

export const call = (id: string | number = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'whoami', arguments: {} },
});
