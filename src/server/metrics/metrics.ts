import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { type ServerEvent, type ServerObserver, sessionEnds } from '../events.ts';
import type { RequestRecord } from '../record.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { ProviderEndpoint } from '../verify/events.ts';
import type { Verification } from '../verify/verification.ts';
import { reasonFor, reasons } from './reasons.ts';

/** What is looked at when somebody asks, since nothing happens by which it could be counted. */
export interface MetricsSources {
  readonly sessions: Sessions;
  /** `undefined` without authentication. */
  readonly verification: Verification | undefined;
  /** Requests that are being answered. */
  readonly inFlight: () => number;
  readonly draining: () => boolean;
}

/** Counts what happens, in the terms of Prometheus. No label holds what a client or a user has made up. */
export interface Metrics {
  readonly observe: ServerObserver;
  readonly contentType: string;
  /** Text exposition format 0.0.4. */
  read(): Promise<string>;
  /** From now on these are looked at, too. */
  watch(sources: MetricsSources): void;
}

/** Upper bounds in seconds: a remembered verdict takes a millisecond, a question to a far provider a second. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const ages = [1, 10, 60, 300, 1_800, 3_600, 14_400, 43_200];
const methods = new Set(['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD']);

export function createMetrics(): Metrics {
  const register = new Registry();
  const named = (name: string, help: string) => ({
    name: `mcp_whoami_${name}`,
    help,
    registers: [register],
  });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ ...named(name, help), labelNames });
  collectDefaultMetrics({ register });

  const requests = counter('http_requests_total', 'Requests that were answered', ['route', 'method', 'code']);
  const duration = new Histogram({
    ...named('http_request_duration_seconds', 'From the head of a request to its answer, or its stream'),
    labelNames: ['route'] as const,
    buckets,
  });
  const toolCalls = counter('tool_calls_total', 'Calls of tools', ['tool', 'outcome']);
  const rejected = counter('rejected_total', 'Requests that were refused, by reason', ['reason']);
  const closed = counter('sessions_closed_total', 'Streams that are no more, by reason', ['reason']);
  const age = new Histogram({
    ...named('session_age_seconds', 'How long streams had been open when they ended'),
    buckets: ages,
  });
  const verified = counter('token_verifications_total', 'Tokens that were verified, not only looked up', [
    'method',
    'result',
  ]);
  const cached = counter('token_cache_total', 'Where the verdicts about tokens came from', ['result']);
  const denied = counter('policy_refusals_total', 'Good tokens that may not call', ['reason']);
  const asked = counter('provider_requests_total', 'Requests to authorization servers', [
    'issuer',
    'endpoint',
    'code',
  ]);
  const answered = new Histogram({
    ...named('provider_request_duration_seconds', 'How long authorization servers took'),
    labelNames: ['endpoint'] as const,
    buckets,
  });
  const up = new Gauge({
    ...named('provider_up', '1: the last request to the authorization server was answered'),
    labelNames: ['issuer'] as const,
  });
  // A series that is not there cannot be told from one that has not begun.
  for (const reason of reasons) rejected.inc({ reason }, 0);
  for (const reason of sessionEnds) closed.inc({ reason }, 0);
  for (const result of ['hit', 'negative', 'joined', 'miss', 'stale']) cached.inc({ result }, 0);

  function countRequest({ route, req, status, milliseconds, refused, calls, unknownCalls }: RequestRecord) {
    const { method = '' } = req;
    requests.inc({ route, method: methods.has(method) ? method : 'other', code: status || 'none' });
    duration.observe({ route }, milliseconds / 1000);
    if (refused !== undefined) rejected.inc({ reason: reasonFor(refused) });
    if (calls > unknownCalls) toolCalls.inc({ tool: 'whoami', outcome: 'ok' }, calls - unknownCalls);
    if (unknownCalls > 0) toolCalls.inc({ tool: 'other', outcome: 'error' }, unknownCalls);
  }

  function countProvider(issuer: string, endpoint: ProviderEndpoint, status: number | undefined): void {
    asked.inc({ issuer, endpoint, code: status ?? 'none' });
    up.set({ issuer }, status !== undefined && status < 500 && status !== 429 ? 1 : 0);
  }

  function observe(event: ServerEvent): void {
    switch (event.name) {
      case 'request':
        countRequest(event.record);
        break;
      case 'session_closed':
        closed.inc({ reason: event.reason });
        age.observe(event.milliseconds / 1000);
        break;
      case 'verdict_cache':
        cached.inc({ result: event.result });
        break;
      case 'token_verified':
        verified.inc({ method: event.way, result: event.outcome });
        break;
      case 'policy_refused':
        denied.inc({ reason: event.reason });
        break;
      case 'provider_request':
        countProvider(event.issuer, event.endpoint, event.status);
        answered.observe({ endpoint: event.endpoint }, event.milliseconds / 1000);
    }
  }

  return {
    observe,
    contentType: register.contentType,
    read: () => register.metrics(),
    watch: (sources) => watchState(named, sources),
  };
}

type Named = (name: string, help: string) => { name: string; help: string; registers: Registry[] };

/** Gauges that are read when somebody asks. */
function watchState(named: Named, { sessions, verification, inFlight, draining }: MetricsSources): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...named(name, help),
      collect() {
        this.set(read());
      },
    });
  new Gauge({
    ...named('sessions', 'Open streams of this process'),
    labelNames: ['transport'] as const,
    collect() {
      this.set({ transport: 'sse' }, sessions.size());
    },
  });
  gauge('oldest_session_seconds', 'Age of the oldest open stream', () => sessions.oldestMs() / 1000);
  gauge('http_requests_in_flight', 'Requests that are being answered', inFlight);
  gauge('draining', '1: the process is about to end', () => (draining() ? 1 : 0));
  if (verification) watchKeys(named, verification);
  if (!sessions.shared()) return;
  gauge('redis_up', '1: Redis can be used', () => (sessions.shared()?.connected ? 1 : 0));
  gauge('inbox_lag_seconds', 'How old the last answer from another replica was when it was taken', () => {
    return (sessions.shared()?.inboxLagMs ?? 0) / 1000;
  });
  gauge('outbox_answers', 'Answers for streams of other replicas, not acknowledged yet', () => {
    return sessions.shared()?.unacknowledged ?? 0;
  });
}

function watchKeys(named: Named, verification: Verification): void {
  new Gauge({
    ...named('jwks_age_seconds', 'Time since the signing keys were fetched'),
    labelNames: ['issuer'] as const,
    collect() {
      this.reset();
      for (const provider of verification.providers) {
        const ageMs = provider.current()?.method.keys?.ageMs();
        if (ageMs !== undefined) this.set({ issuer: provider.issuer() }, ageMs / 1000);
      }
    },
  });
}
