import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { ServerSettings } from '../lib/settings.ts';
import type { SigningKey } from '../lib/signing-key.ts';
import { ownResources, publicAddress } from './address.ts';
import { createApp } from './app.ts';
import { documentRoutes } from './documents.ts';
import { createEndpoints } from './endpoints.ts';
import { type Exchange, send } from './exchange.ts';
import { createGate } from './gate.ts';
import { openListener } from './listener.ts';
import { createPage } from './page/page.ts';
import type { Provider } from './provider/provider.ts';
import { createMemorySessions } from './sessions/memory.ts';
import type { Sessions } from './sessions/sessions.ts';
import type { Observer } from './verify/events.ts';
import { openVerification, type Verification } from './verify/verification.ts';

/** Time between two signs of life on a stream: a client can tell silence within 15 s. Milliseconds. */
const defaultPingMs = 5_000;
/** Connections beyond the streams: their POSTs, and everybody else. */
const spareConnections = 1_024;

export interface WhoamiServerOptions {
  readonly settings: ServerSettings;
  readonly http: HttpClient;
  readonly log: Log;
  /** Signs who calls, for the server that this is the gate of (`settings.upstream`). */
  readonly identityKey?: SigningKey | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** Time between two signs of life on a stream. Milliseconds; default 5 s. */
  readonly pingMs?: number;
  /** How long a replica counts as alive after a sign of life. Milliseconds; default 15 s. */
  readonly livenessMs?: number;
  /** Told what happens while tokens are verified, for whoever counts it. */
  readonly observe?: Observer;
}

/** One authorization server, as the start-up lines tell of it. */
export interface IssuerReport {
  readonly issuer: string;
  /** Settles with its part of `WhoamiServer.ready`. */
  readonly ready: Promise<void>;
  /** How its access tokens are verified, whether their audience is, and why so. */
  verification(): string;
}

export interface WhoamiServer {
  readonly port: number;
  /** Where clients reach us: the three loopback origins, or the one of the public URL. */
  readonly origins: readonly string[];
  /** Resource identifiers that tokens may be bound to (RFC 8707). */
  readonly resources: readonly string[];
  readonly issuers: readonly IssuerReport[];
  /**
   * Resolves when every authorization server is known and its keys are here. Rejects with AppError
   * `metadata_invalid` or `insecure_url` when what one publishes is unfit; the server goes on and answers 503 to
   * its tokens.
   */
  readonly ready: Promise<void>;
  /** Says "not ready", pauses if asked to, then finishes calls (at most 10 s) and ends the streams. */
  drain(options?: { readonly delay?: boolean }): Promise<void>;
  /** Ends at once. */
  close(): Promise<void>;
}

/**
 * Starts the protected whoami server. Resolves when it listens; the authorization server is looked for
 * meanwhile. Throws AppError `port_taken`.
 */
export async function openWhoamiServer(options: WhoamiServerOptions): Promise<WhoamiServer> {
  const { settings, http, log } = options;
  const now = options.now ?? Date.now;
  let draining = false;
  const isDraining = () => draining;
  const sessions = await openSessions(options, now);
  // The address is not known before the port is, and no request comes before it is.
  let app: ReturnType<typeof createApp> | undefined;
  const listener = await openListener({
    host: settings.host,
    port: settings.port,
    maxConnections: settings.maxSessions * 2 + spareConnections,
    handle: async (req, res) => app?.(req, res),
  }).catch(async (error: unknown) => {
    await sessions.endAll();
    throw error;
  });
  const address = publicAddress(settings, listener.port);
  const { resources, prefixes } = address;
  const verification = settings.noAuth
    ? undefined
    : openVerification({ ...settings, resources, http, log, now, observe: options.observe });
  const page = createPage({
    // A page for people offers one sign-in: with the first of several authorization servers.
    issuer: settings.issuers[0]?.issuer,
    clientId: settings.pageClientId,
    fronts: settings.upstream !== undefined,
    document: () => verification?.providers[0]?.current()?.metadata.document,
  });
  const name = settings.upstream ? 'MCP server' : 'WhoAmI';
  const metadataRoutes = (verified: Verification) =>
    [...documentRoutes({ prefixes, resources: ownResources, verification: verified, name })].map(
      ([path, document]) => [path, (x: Exchange) => send(x, document(x.site))] as const,
    );
  const endpoints = createEndpoints({ ...options, sessions, now, draining: isDraining });
  app = createApp({
    address,
    health: { verification, shared: sessions.shared, draining: isDraining },
    documents: new Map([
      ...(verification ? metadataRoutes(verification) : []),
      ...below(prefixes, { ...page.scripts, ...endpoints.documents }),
    ]),
    endpoints: below(prefixes, endpoints.protected),
    about: new Set(prefixes.flatMap((prefix) => [`${prefix}/`, prefix])),
    page: page.home,
    gate: verification && createGate({ verification, log, now }),
    log,
  });
  const pulse = setInterval(() => sessions.tend(), options.pingMs ?? defaultPingMs).unref();
  announcePrefix(settings, log);

  const end = async () => {
    clearInterval(pulse);
    verification?.close();
    await sessions.endAll();
    await listener.close();
  };
  return {
    port: listener.port,
    origins: address.sites.map(({ origin }) => origin),
    resources,
    issuers: verification?.providers.map(reportOn) ?? [],
    ready: verification?.ready ?? Promise.resolve(),
    async drain({ delay = false } = {}) {
      draining = true;
      if (delay) await new Promise((resolve) => setTimeout(resolve, settings.drainDelayMs));
      await listener.finish();
      await end();
    },
    async close() {
      draining = true;
      await end();
    },
  };
}

/** In memory, or shared with other replicas: only then is the client of the store loaded. */
async function openSessions(
  { settings, http, log, livenessMs }: WhoamiServerOptions,
  now: () => number,
): Promise<Sessions> {
  const { redis: url, maxSessions, noAuth } = settings;
  const common = { maxSessions, sharePerUser: !noAuth, log, now };
  if (!url) return createMemorySessions(common);
  const { openSharedSessions } = await import('./sessions/redis/redis.ts');
  return openSharedSessions({ ...common, url, secureContext: http.secureContext, livenessMs });
}

function below<T>(prefixes: readonly string[], routes: Readonly<Record<string, T>>): ReadonlyMap<string, T> {
  const entries = Object.entries(routes);
  return new Map(
    prefixes.flatMap((prefix) => entries.map(([path, route]) => [`${prefix}${path}`, route] as const)),
  );
}

function reportOn(provider: Provider): IssuerReport {
  return {
    issuer: provider.issuer(),
    ready: provider.ready,
    verification() {
      const method = provider.current()?.method;
      return method ? `${method.description} (${method.reason})` : 'nobody yet: it is not known';
    },
  };
}

function announcePrefix({ publicUrl, noAuth }: ServerSettings, log: Log): void {
  const path = publicUrl?.pathname.replace(/\/+$/, '');
  if (!path || noAuth) return;
  log.info(`the proxy must also route /.well-known/oauth-protected-resource${path} and what is below it`);
}
