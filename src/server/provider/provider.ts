import { AppError, asAppError } from '../../lib/errors.ts';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { IssuerSettings } from '../../lib/settings.ts';
import { chooseMethod, type Method } from '../verify/choose.ts';
import type { Observer } from '../verify/events.ts';
import { judge, type Ruling } from '../verify/policy.ts';
import { mayTakeOpaque } from '../verify/rules.ts';
import { discover, type ProviderMetadata } from './discovery.ts';
import { createProviderReader } from './reader.ts';

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

/** One authorization server as we know it, found out in the background and kept up to date. */
export interface Provider {
  /** As its own document writes it; as configured until that is known. */
  issuer(): string;
  /** `undefined` until it has been found. */
  current(): Known | undefined;
  /** Why it is not known, or not renewed. */
  problem(): AppError | undefined;
  /** Known, and its keys are here if tokens are verified by them. */
  isReady(): boolean;
  /** Resolves once it is ready. Rejects when what it publishes is unfit; the search goes on all the same. */
  readonly ready: Promise<void>;
  /** Whether a token with this `iss` is its own. */
  issues(iss: unknown): boolean;
  /** Whether a token that names no issuer may be its own. */
  mayTakeOpaque(): boolean;
  /**
   * Verifies a token and applies the policy to whoever bears it. Throws AppError `issuer_unreachable`, or what is
   * wrong with the provider, when there is no verdict.
   */
  rule(token: string): Promise<Ruling>;
  /**
   * What these rules would change. Nothing is until `commit`, which asks nobody: what is known stays known. Throws
   * AppError `metadata_invalid` when there would be no way to verify.
   */
  prepare(rules: IssuerSettings, claims: readonly string[] | undefined): Change;
  close(): void;
}

export interface Change {
  /** Whether opaque tokens would be taken; `undefined` while the authorization server is not known. */
  readonly takesOpaque: boolean | undefined;
  commit(): void;
}

export interface ProviderOptions {
  readonly rules: IssuerSettings;
  readonly resources: readonly string[];
  /** The claims that are shown beside `sub` and `iss`; `undefined`: all. */
  readonly claims: readonly string[] | undefined;
  readonly http: HttpClient;
  readonly log: Log;
  readonly now: () => number;
  readonly observe: Observer;
}

export function openProvider(options: ProviderOptions): Provider {
  const { http, log, observe } = options;
  let { rules, claims } = options;
  const reader = createProviderReader(http, rules.issuer, observe);
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
      const metadata = await discover(rules, reader, log, options.now);
      if (!known || metadata.document !== known.metadata.document) {
        const method = chooseMethod({ ...options, rules, reader, metadata });
        // Old keys are better than none: they stay in use until the new ones are here.
        if (known) await method.keys?.load();
        known = { metadata, method, scopes: scopesFor(rules, metadata) };
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

  const firstSearch = renew();
  return {
    issuer: () => known?.metadata.issuer ?? rules.issuer,
    current: () => known,
    problem: () => problem,
    isReady: () => known !== undefined && (known.method.keys?.loaded() ?? true),
    ready,
    issues: (iss) => (known ? iss === known.metadata.issuer : mayMean(iss, rules.issuer)),
    mayTakeOpaque: () => known?.method.takesOpaque ?? mayTakeOpaque(rules),
    async rule(token) {
      // The first request of all may come before the first answer: it need not fail for that.
      if (!known && !problem) await firstSearch;
      if (!known) {
        throw (
          problem ??
          new AppError('issuer_unreachable', `the authorization server ${rules.issuer} is not known yet`)
        );
      }
      const verdict = await known.method.verifier.verify(token);
      const policy = { requiredScope: known.scopes.required, allow: rules.allow, claims };
      const ruling = judge(verdict, policy);
      if (
        verdict.outcome === 'accepted' &&
        (ruling.outcome === 'insufficient_scope' || ruling.outcome === 'access_denied')
      ) {
        observe({ name: 'policy_refused', issuer: rules.issuer, reason: ruling.outcome });
      }
      return ruling;
    },
    prepare(nextRules, nextClaims) {
      const next = known && {
        metadata: known.metadata,
        method: chooseMethod({
          ...options,
          rules: nextRules,
          reader,
          metadata: known.metadata,
          keys: known.method.keys,
        }),
        scopes: scopesFor(nextRules, known.metadata),
      };
      return {
        takesOpaque: next?.method.takesOpaque,
        commit() {
          rules = nextRules;
          claims = nextClaims;
          if (!next) return;
          known = next;
          const { keys } = next.method;
          if (keys && !keys.loaded()) keys.load().catch((error: AppError) => log.warn(error.message));
        },
      };
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** Until its document is read, nobody knows with or without a slash at its end an issuer writes itself. */
function mayMean(iss: unknown, configured: string): boolean {
  return typeof iss === 'string' && iss.replace(/\/$/, '') === configured.replace(/\/$/, '');
}

/** `openid profile` is what the tool lives on, `email` a welcome addition; a plain OAuth server knows neither. */
function scopesFor({ requiredScope }: IssuerSettings, metadata: ProviderMetadata): Scopes {
  if (requiredScope) return { required: requiredScope, offered: requiredScope };
  if (!metadata.openid) return { required: [], offered: [] };
  const required = ['openid', 'profile'];
  const knowsEmail = metadata.scopesSupported?.includes('email') ?? true;
  return { required, offered: knowsEmail ? [...required, 'email'] : required };
}
