import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { ServerSettings } from '../lib/settings.ts';
import type { SigningKey } from '../lib/signing-key.ts';
import { ownResources, publicAddress } from './address.ts';
import { createApp } from './app.ts';
import { createCallerOf } from './caller.ts';
import { type ServerObserver, tellAll } from './events.ts';
import { createRequestLog } from './request-log.ts';
import { documentRoutes } from './documents.ts';
import { createEndpoints } from './endpoints.ts';
import { type Exchange, send } from './exchange.ts';
import { createGate } from './gate.ts';
import { openListener } from './listener.ts';
import { type MetricsListener, openMetricsListener } from './metrics/listener.ts';
import type { Metrics } from './metrics/metrics.ts';
import { createPage } from './page/page.ts';
import { changeable } from './change.ts';
import type { Provider } from './provider/provider.ts';
import { createMemorySessions } from './sessions/memory.ts';
import type { Sessions } from './sessions/sessions.ts';
import { createRates } from './rates.ts';
import { openVerification, type Verification } from './verify/verification.ts';

/** Time between two signs of life on a stream: a client can tell silence within 15 s. Milliseconds. */
const defaultPingMs = 5_000;
/** Connections beyond the streams: their POSTs, and everybody else. */
const spareConnections = 1_024;
/** What a user may send at once, in seconds of `--user-rate`. */
const userBurst = 5;

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
  /** Told what happens, for whoever counts it. */
  readonly observe?: ServerObserver;
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
  /** Of `/metrics`; `undefined`: there are none. */
  readonly metricsPort: number | undefined;
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
  /**
   * Puts those of the settings in force that may change while it runs (`change.ts`); the others stay as they are.
   * Throws AppError `metadata_invalid` when tokens could not be verified by them, and then nothing is changed.
   */
  change(settings: ServerSettings): void;
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
  const { http, log } = options;
  const now = options.now ?? Date.now;
  let { settings } = options;
  let draining = false;
  const isDraining = () => draining;
  const callerOf = createCallerOf(() => settings.trustProxy);
  const metrics = await loadMetrics(settings);
  const requestLog = createRequestLog({ log, logRequests: () => settings.logRequests, callerOf });
  const observe = tellAll([requestLog, metrics?.observe, options.observe]);
  const limits = { maxSessions: () => settings.maxSessions, observe };
  const sessions = await openSessions({ ...options, ...limits, now });
  // The address is not known before the port is, and no request comes before it is.
  let app: ReturnType<typeof createApp> | undefined;
  const listener = await openListener({
    host: settings.host,
    port: settings.port,
    maxConnections: connectionsFor(settings),
    certificate: settings.tls,
    handle: async (req, res) => app?.(req, res),
  }).catch(async (error: unknown) => {
    await sessions.endAll();
    throw error;
  });
  const address = publicAddress(
    {
      ...options.settings,
      get allowOrigin() {
        return settings.allowOrigin;
      },
    },
    listener.port,
  );
  const { resources, prefixes } = address;
  const verification = settings.noAuth
    ? undefined
    : openVerification({ ...settings, resources, http, log, now, observe });
  const page = createPage({
    // A page for people offers one sign-in: with the first of several authorization servers.
    issuer: () => settings.issuers[0]?.issuer,
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
    callerOf,
    rates: createRates({ perSecond: () => settings.userRate, burstSeconds: userBurst, now }),
    observe,
    log,
  });
  const pulse = setInterval(() => sessions.tend(), options.pingMs ?? defaultPingMs).unref();
  announcePrefix(settings, log);
  metrics?.watch({ sessions, verification, inFlight: listener.inFlight, draining: isDraining });
  const scraped = metrics && (await openMetrics(settings, metrics).catch(closeAll));
  async function closeAll(error: unknown): Promise<never> {
    await end();
    throw error;
  }

  async function end(): Promise<void> {
    clearInterval(pulse);
    verification?.close();
    await sessions.endAll();
    await listener.close();
  }

  return {
    port: listener.port,
    metricsPort: scraped?.port,
    origins: address.sites.map(({ origin }) => origin),
    resources,
    issuers: verification?.providers.map(reportOn) ?? [],
    ready: verification?.ready ?? Promise.resolve(),
    change(next) {
      verification?.change(next);
      const changed = Object.fromEntries(changeable.map((name) => [name, next[name]]));
      settings = Object.freeze({ ...settings, ...changed });
      listener.limit(connectionsFor(settings));
      if (next.tls) listener.prove(next.tls);
    },
    async drain({ delay = false } = {}) {
      draining = true;
      if (delay) await new Promise((resolve) => setTimeout(resolve, settings.drainDelayMs));
      await listener.finish();
      await end();
      await scraped?.close();
    },
    async close() {
      draining = true;
      await end();
      await scraped?.close();
    },
  };
}

interface SessionOptions extends WhoamiServerOptions {
  readonly maxSessions: () => number;
  readonly observe: ServerObserver;
  readonly now: () => number;
}

/** In memory, or shared with other replicas: only then is the client of the store loaded. */
async function openSessions(options: SessionOptions): Promise<Sessions> {
  const { redis: url, noAuth } = options.settings;
  const common = { ...options, sharePerUser: !noAuth };
  if (!url) return createMemorySessions(common);
  const { openSharedSessions } = await import('./sessions/redis/redis.ts');
  return openSharedSessions({ ...common, url, secureContext: options.http.secureContext });
}

const connectionsFor = ({ maxSessions }: ServerSettings) => maxSessions * 2 + spareConnections;

/** Counting costs memory and a library: both only where somebody asks. */
async function loadMetrics({ metricsPort }: ServerSettings): Promise<Metrics | undefined> {
  if (metricsPort === undefined) return undefined;
  const { createMetrics } = await import('./metrics/metrics.ts');
  return createMetrics();
}

function openMetrics({ host, metricsPort = 0 }: ServerSettings, metrics: Metrics): Promise<MetricsListener> {
  return openMetricsListener({ host, port: metricsPort, metrics });
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
