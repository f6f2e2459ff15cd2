import { type AppError, asAppError } from '../../lib/errors.ts';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import { chooseMethod, type Method } from '../verify/choose.ts';
import { discover, type ProviderMetadata } from './discovery.ts';

/** Times in milliseconds. */
const firstRetry = 500;
const lastRetry = 10_000;
const renewEvery = 60 * 60_000;

export interface Known {
  readonly metadata: ProviderMetadata;
  readonly method: Method;
  readonly scopes: Scopes;
}

/** What a call needs, and what a client is told to ask for. */
export interface Scopes {
  readonly required: readonly string[];
  readonly offered: readonly string[];
}

/** The authorization server as we know it, found out in the background and kept up to date. */
export interface Provider {
  /** `undefined` until it has been found. */
  current(): Known | undefined;
  /** Why it is not known, or not renewed. */
  problem(): AppError | undefined;
  /** Known, and its keys are here if tokens are verified by them. */
  isReady(): boolean;
  /** Resolves once it is ready. Rejects when what it publishes is unfit; the search goes on all the same. */
  readonly ready: Promise<void>;
  close(): void;
}

export interface ProviderOptions {
  readonly settings: ServerSettings;
  readonly resources: readonly string[];
  readonly http: HttpClient;
  readonly log: Log;
  readonly now: () => number;
}

export function openProvider(options: ProviderOptions): Provider {
  const { settings, http, log } = options;
  let known: Known | undefined;
  let problem: AppError | undefined;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let resolve = () => {};
  let reject = (_reason: AppError) => {};
  const ready = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Whoever does not wait for it hears of a failure by the log.
  ready.catch(() => {});

  async function renew(): Promise<void> {
    try {
      const metadata = await discover(settings, http, log);
      if (!known || metadata.document !== known.metadata.document) {
        const method = chooseMethod({ ...options, metadata });
        // Old keys are better than none: they stay in use until the new ones are here.
        if (known) await method.keys?.load();
        known = { metadata, method, scopes: scopesFor(settings, metadata) };
      }
      if (!known.method.keys?.loaded()) await known.method.keys?.load();
      if (problem) log.info('the authorization server is there', { issuer: metadata.issuer });
      problem = undefined;
      failures = 0;
      resolve();
    } catch (error) {
      fail(asAppError(error, 'metadata_invalid'));
    }
    if (!closed) schedule();
  }

  function fail(error: AppError): void {
    failures++;
    if (closed) return;
    const unfit = error.code !== 'issuer_unreachable';
    if (problem?.message !== error.message)
      log[unfit ? 'error' : 'warn'](error.message, { hint: error.hint });
    problem = error;
    if (unfit) reject(error);
  }

  function schedule(): void {
    const wait = Math.min(lastRetry, firstRetry * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
    timer = setTimeout(() => void renew(), failures === 0 ? renewEvery : wait).unref();
  }

  void renew();
  return {
    current: () => known,
    problem: () => problem,
    isReady: () => known !== undefined && (known.method.keys?.loaded() ?? true),
    ready,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** `openid profile` is what the tool lives on, `email` a welcome addition; a plain OAuth server knows neither. */
function scopesFor(settings: ServerSettings, metadata: ProviderMetadata): Scopes {
  const { requiredScope } = settings;
  if (requiredScope) return { required: requiredScope, offered: requiredScope };
  if (!metadata.openid) return { required: [], offered: [] };
  const required = ['openid', 'profile'];
  const knowsEmail = metadata.scopesSupported?.includes('email') ?? true;
  return { required, offered: knowsEmail ? [...required, 'email'] : required };
}
