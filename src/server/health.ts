import type { ServerResponse } from 'node:http';
import type { Provider } from './provider/provider.ts';
import type { SharedState } from './sessions/sessions.ts';

export interface HealthOptions {
  /** `undefined` without authentication. */
  readonly provider: Provider | undefined;
  /** What replicas share; `undefined` where nothing is. */
  readonly shared: () => SharedState | undefined;
  readonly draining: () => boolean;
}

export const healthPaths: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

/** Answers the probes of a supervisor: alive at all, and fit for traffic. No names, no reasons, no secrets. */
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

function readiness({ provider, shared, draining }: HealthOptions) {
  if (draining()) return { status: 'draining' };
  const state = shared();
  // Not a reason to be unready: one Redis would take all replicas out, and their own streams are served.
  const redis = state && { redis: state.connected ? 'connected' : 'degraded' };
  if (!provider) return { status: 'ok', authentication: 'none', ...redis };
  const method = provider.current()?.method;
  const parts = {
    issuer: provider.current() ? 'known' : 'unknown',
    keys: !method ? 'unknown' : !method.keys ? 'not used' : method.keys.loaded() ? 'loaded' : 'missing',
    audience: method?.audience ?? 'unknown',
    ...redis,
  };
  return { status: provider.isReady() ? 'ok' : 'starting', ...parts };
}
