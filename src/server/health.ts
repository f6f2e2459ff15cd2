import type { ServerResponse } from 'node:http';
import type { Provider } from './provider/provider.ts';
import type { SharedState } from './sessions/sessions.ts';
import type { Verification } from './verify/verification.ts';

export interface HealthOptions {
  /** `undefined` without authentication. */
  readonly verification: Verification | undefined;
  /** What replicas share; `undefined` where nothing is. */
  readonly shared: () => SharedState | undefined;
  readonly draining: () => boolean;
}

export const healthPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Answers the probes of a supervisor: alive at all, and fit for traffic. Nothing in it is anybody's secret. */
export function answerHealth(
  path: string,
  method: string,
  res: ServerResponse,
  options: HealthOptions,
): void {
  if (method !== 'GET' && method !== 'HEAD') {
    res.writeHead(405, { allow: 'GET, HEAD', 'content-length': 0 }).end();
    return;
  }
  const state = path === '/healthz' ? { status: 'ok' } : readiness(options);
  const body = JSON.stringify(state);
  res.writeHead(state.status === 'ok' ? 200 : 503, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
    ...(state.status === 'ok' ? {} : { 'retry-after': '2' }),
  });
  res.end(body);
}

/** One authorization server that is down does not take us out: the users of the others can still call. */
function readiness({ verification, shared, draining }: HealthOptions) {
  if (draining()) return { status: 'draining' };
  const state = shared();
  // Not a reason to be unready: one Redis would take all replicas out, and their own streams are served.
  const redis = state && { redis: state.connected ? 'connected' : 'degraded' };
  if (!verification) return { status: 'ok', authentication: 'none', ...redis };
  const issuers = verification.providers.map(stateOf);
  return { status: verification.isReady() ? 'ok' : 'starting', issuers, ...redis };
}

function stateOf(provider: Provider) {
  const method = provider.current()?.method;
  return {
    issuer: provider.issuer(),
    metadata: method ? 'known' : 'unknown',
    keys: !method ? 'unknown' : !method.keys ? 'not used' : method.keys.loaded() ? 'loaded' : 'missing',
    verification: method?.ways ?? [],
    reason: method?.reason,
    audience: method?.audience ?? 'unknown',
  };
}
