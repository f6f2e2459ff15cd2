import { AppError } from '../../lib/errors.ts';
import type { HttpClient } from '../../lib/http.ts';
import { decodeJwt, isMangledJwt } from '../../lib/jwt-text.ts';
import type { Log } from '../../lib/log.ts';
import type { IssuerSettings } from '../../lib/settings.ts';
import { type Change, openProvider, type Provider } from '../provider/provider.ts';
import { type Checked, createVerdictCache } from './cache.ts';
import type { Observer } from './events.ts';
import type { Ruling } from './policy.ts';
import { rejected } from './verifier.ts';

/** Verification of access tokens, whatever asks for it: it knows no transport, no tool and no HTTP request. */
export interface Verification {
  /**
   * The verdict about a token: at once when it is known. Throws AppError when there is none to be had, which is
   * never the token's fault: `issuer_unreachable`, or what is unfit about its authorization server.
   */
  check(token: string): Checked | Promise<Checked>;
  /** The authorization servers whose tokens are taken, in the order of the settings. */
  readonly providers: readonly Provider[];
  /**
   * Resolves when every authorization server is known and its keys are here. Rejects with AppError when one is
   * unfit, or two may have issued the same opaque token; the others go on.
   */
  readonly ready: Promise<void>;
  /** Whether the tokens of at least one authorization server can be verified. */
  isReady(): boolean;
  /** What clients are told to ask for: scopes that each authorization server has a use for. */
  offeredScopes(): readonly string[];
  /**
   * Puts other rules in force at once, and forgets the verdicts that the old ones gave. Authorization servers that
   * are known already are not asked again. Throws AppError `metadata_invalid` when they do not fit, and then nothing
   * is changed.
   */
  change(rules: VerificationRules): void;
  close(): void;
}

/** Which tokens are taken, and what is shown of whoever bears them. */
export type VerificationRules = Pick<VerificationOptions, 'issuers' | 'claims' | 'staleMs'>;

export interface VerificationOptions {
  readonly issuers: readonly IssuerSettings[];
  /** Our own resource identifiers (RFC 8707): the audiences that are expected where none is named. */
  readonly resources: readonly string[];
  /** The claims that are shown beside `sub` and `iss`; `undefined`: all. */
  readonly claims: readonly string[] | undefined;
  /** How long a verdict that has run out may serve while the provider fails. Milliseconds. */
  readonly staleMs: number;
  readonly http: HttpClient;
  readonly log: Log;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told what happens, for whoever counts it. */
  readonly observe?: Observer | undefined;
}

/** Starts to look for the authorization servers, and verifies their tokens from the moment they are found. */
export function openVerification(options: VerificationOptions): Verification {
  const { log, now, observe = () => {} } = options;
  let current = options.issuers.map((rules) => ({
    rules,
    provider: openProvider({ ...options, rules, observe }),
  }));
  let providers = current.map(({ provider }) => provider);

  /**
   * A JWT is its issuer's, and nobody else is asked about it. Any other token names no issuer: it is shown to the
   * one authorization server that may have issued it, once it is certain that there is but one. A JWT that was
   * made to look like such another is nobody's: its issuer might not look as closely, and would confirm it for us.
   */
  async function rule(token: string): Promise<Ruling> {
    const jwt = decodeJwt(token);
    if (isMangledJwt(token)) return rejected('The access token is no JWT');
    const iss = jwt?.payload.iss;
    const provider = iss === undefined ? ofOpaqueTokens(providers) : providers.find((one) => one.issues(iss));
    if (provider) return provider.rule(token);
    return rejected(jwt ? 'The access token is from another issuer' : 'The access token is no JWT');
  }

  const assertOneForOpaque = () => {
    const error = conflict(providers);
    if (!error) return;
    log.error(error.message, { hint: error.hint });
    throw error;
  };
  const ready = Promise.all(providers.map((provider) => provider.ready.then(assertOneForOpaque))).then(
    () => {},
  );
  // Whoever does not wait for it hears of a failure by the log.
  ready.catch(() => {});
  const openCache = (staleMs: number) => createVerdictCache({ rule, staleMs, log, now, observe });
  let cache = openCache(options.staleMs);

  function change({ issuers, claims, staleMs }: VerificationRules): void {
    const planned = issuers.map((rules) => {
      const kept = current.find((one) => isSameServer(one.rules, rules));
      return { rules, kept: kept?.provider, change: kept?.provider.prepare(rules, claims) };
    });
    assertOneTaker(planned);
    const before = providers;
    current = planned.map(({ rules, kept, change }) => {
      change?.commit();
      return { rules, provider: kept ?? openProvider({ ...options, rules, claims, observe }) };
    });
    providers = current.map(({ provider }) => provider);
    for (const provider of before) if (!providers.includes(provider)) provider.close();
    cache = openCache(staleMs);
  }

  return {
    check: (token) => cache.check(token),
    get providers() {
      return providers;
    },
    ready,
    isReady: () => providers.some((provider) => provider.isReady()),
    offeredScopes: () => commonScopes(providers),
    change,
    close() {
      for (const provider of providers) provider.close();
    },
  };
}

/** Out: `undefined` when no authorization server has opaque tokens. Throws while it is not certain which has. */
function ofOpaqueTokens(providers: readonly Provider[]): Provider | undefined {
  const possible = providers.filter((provider) => provider.mayTakeOpaque());
  if (possible.length < 2) return possible[0];
  const unknown = possible.find((provider) => !provider.current());
  const text = `an opaque token may be of ${unknown?.issuer()}, which is not known yet`;
  throw conflict(providers) ?? unknown?.problem() ?? new AppError('issuer_unreachable', text);
}

/** Two authorization servers that may both have issued an opaque token: one of them must not see it. */
function conflict(providers: readonly Provider[]): AppError | undefined {
  const takers = providers.filter((provider) => provider.current()?.method.takesOpaque);
  if (takers.length < 2) return undefined;
  return twoTakers(takers.map((provider) => provider.issuer()));
}

function twoTakers(issuers: readonly string[]): AppError {
  const names = issuers.join(' and ');
  return new AppError('metadata_invalid', `an opaque token may be of ${names}, and does not say of which`, {
    hint: '--verify jwt, or "verify": "jwt" for all of them but one in the configuration file',
  });
}

function assertOneTaker(
  planned: readonly { readonly rules: IssuerSettings; readonly change: Change | undefined }[],
): void {
  const takers = planned.filter(({ change }) => change?.takesOpaque);
  if (takers.length > 1) throw twoTakers(takers.map(({ rules }) => rules.issuer));
}

/** Whether what is known of an authorization server under some rules holds under others, too. */
function isSameServer(a: IssuerSettings, b: IssuerSettings): boolean {
  return (
    a.issuer === b.issuer &&
    a.metadata === b.metadata &&
    a.userinfoUrl === b.userinfoUrl &&
    (a.introspection === undefined) === (b.introspection === undefined)
  );
}

/** One list for all clients: what one server would refuse is left to its own challenge after the sign-in. */
function commonScopes(providers: readonly Provider[]): readonly string[] {
  const lists = providers.flatMap((provider) => provider.current()?.scopes.offered ?? []);
  const known = providers.filter((provider) => provider.current()).length;
  return [...new Set(lists)].filter((scope) => lists.filter((one) => one === scope).length === known);
}
