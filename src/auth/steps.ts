import { randomBytes } from 'node:crypto';
import { commandLine } from '../lib/command-line.ts';
import { AppError, asAppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import { refreshTokenAdvice } from './advice.ts';
import type { AuthorizationRequest } from './authorization-request.ts';
import type { Client } from './client/client.ts';
import { isLetIn } from './client/known.ts';
import { clientFor, findRegistration } from './client/registration.ts';
import { openRegistrations } from './client/registrations.ts';
import type { Reach } from './discovery/reach.ts';
import type { Discovery } from './discovery.ts';
import type { SignInEdges } from './edges.ts';
import { keepFresh } from './pushed-request.ts';
import { type Loopback, type Outcome, openLoopback } from './redirect/loopback.ts';
import { createRequest } from './request.ts';
import { type Redeemed, redeem } from './tokens/redeem.ts';
import { openTokenStore } from './tokens/token-store.ts';

/** The outcome of a sign-in: whom, where, until when. No secrets. */
export interface SignedIn {
  /** Of the index entry. */
  readonly key: string;
  readonly server: string;
  readonly profile: string;
  readonly issuer: string;
  readonly subject: string | undefined;
  readonly name: string | undefined;
  /** Who was signed in there under this profile until now, when that was somebody else. */
  readonly instead?: string | undefined;
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch. */
  readonly expiresAt: number | undefined;
  /** Where the tokens are kept, for a person to read. */
  readonly store: string;
  readonly clientId: string;
}

/** A sign-in that waits for its redirect. */
export interface Waiting {
  readonly request: AuthorizationRequest;
  readonly listener: Loopback;
}

/**
 * Listens on loopback, makes sure that the issuer knows us with that redirect URI, and writes the request.
 *
 * Throws AppError `port_taken`, `registration_failed`, and those of `createRequest`; then nothing listens.
 */
export async function beginRequest(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  discovery: Discovery,
  moreScope?: string,
): Promise<Waiting> {
  const { server } = discovery;
  await sayMove(edges, settings, server.issuer);
  const state = newState();
  const found = await findRegistration(edges, reach, settings, server);
  const listener = await listen(settings, state, found && Number(new URL(found.redirectUri).port));
  try {
    const { redirectUri } = listener;
    const write = (client: Client) =>
      createRequest(reach, settings, { discovery, client, redirectUri, state, moreScope, now: edges.now });
    const client = await clientFor(edges, reach, settings, server, redirectUri, found);
    let request = await write(client);
    const old = client === found?.client;
    if (request === 'client_forgotten' || (old && !(await isLetIn(reach, request)))) {
      await openRegistrations(edges).remove(server.issuer, client.id);
      request = await write(await clientFor(edges, reach, settings, server, redirectUri, undefined));
    }
    if (request === 'client_forgotten') throw forgotten(server.issuer);
    return { request, listener };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

const newState = () => randomBytes(32).toString('base64url');

/** On the port asked for, else on that of an earlier registration if it is free, else on any. */
async function listen(settings: SignInSettings, state: string, registered = 0): Promise<Loopback> {
  const { redirectHost: host, redirectPort } = settings;
  if (redirectPort !== undefined || !registered) {
    return openLoopback({ host, port: redirectPort ?? 0, state });
  }
  return openLoopback({ host, port: registered, state }).catch((error: unknown) => {
    if (asAppError(error).code !== 'port_taken') throw error;
    return openLoopback({ host, port: 0, state });
  });
}

/** The person's part of a sign-in. `Other`: what else may end the wait for the redirect. */
export interface Walk<Other> {
  /** The redirect that answers `request`. */
  answerTo(request: AuthorizationRequest): Promise<URLSearchParams | Other>;
  /** Shows a new request. In: `onItsWay`: the browser has been sent there already. */
  present(request: AuthorizationRequest, onItsWay: boolean): Promise<void>;
  /** The address of the request had run out; this one leads to the same. */
  renewed(request: AuthorizationRequest): void;
}

/**
 * Waits for the redirect and redeems it. A client that the issuer has forgotten meanwhile is registered anew,
 * once, and the same browser sent on.
 *
 * Out: who signed in, or what ended the wait. Throws `registration_failed`, and what `redeem`, the vault and
 * `walk` throw.
 */
export async function complete<Other = never>(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  { request, listener }: Waiting,
  walk: Walk<Other>,
): Promise<SignedIn | Other> {
  const answerTo = (asked: AuthorizationRequest) => {
    const failed = (reason: unknown) =>
      edges.log.warn('the address of the sign-in has run out and could not be renewed', { reason });
    const stop = keepFresh({ reach, request: asked, now: edges.now, renewed: walk.renewed, failed });
    return walk.answerTo(asked).finally(stop);
  };
  const first = await answerTo(request);
  if (!(first instanceof URLSearchParams)) return first;
  const result = await conclude(edges, reach, settings, request, first);
  if (result !== 'client_forgotten') return result;
  edges.log.info('the provider had forgotten us; we registered anew, please sign in once more');
  const again = await rewrite(edges, reach, settings, request);
  await walk.present(again, listener.sendOn(again.url, again.state));
  const second = await answerTo(again);
  if (!(second instanceof URLSearchParams)) return second;
  const last = await conclude(edges, reach, settings, again, second);
  if (last === 'client_forgotten') throw forgotten(request.server.issuer);
  return last;
}

/** The same request under a new registration. */
async function rewrite(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  { server, resource, scope, redirectUri, binding }: AuthorizationRequest,
): Promise<AuthorizationRequest> {
  const client = await clientFor(edges, reach, settings, server, redirectUri, undefined);
  const dpop = binding && { required: binding.required, algorithms: [binding.prover.key.algorithm] };
  const discovery = { server, resource, scopes: scope?.split(' ') ?? [], dpop };
  const parts = { discovery, client, redirectUri, state: newState(), moreScope: scope, now: edges.now };
  const request = await createRequest(reach, settings, parts);
  if (request === 'client_forgotten') throw forgotten(server.issuer);
  return request;
}

/**
 * Redeems the redirect and keeps the tokens; only then is anybody signed in.
 *
 * Out: `client_forgotten` when the issuer no longer knows our registration, which is dropped. Throws what
 * `redeem` and the vault throw.
 */
async function conclude(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  request: AuthorizationRequest,
  redirect: URLSearchParams,
): Promise<SignedIn | 'client_forgotten'> {
  const redeemed = await redeem(reach, request, redirect, edges.now, `run ${commandLine('login', settings)}`);
  if (redeemed === 'client_forgotten') {
    await openRegistrations(edges).remove(request.server.issuer, request.client.id);
    return redeemed;
  }
  return keep(edges, settings, redeemed);
}

/** Keeps the tokens, with whose they are. Throws what the vault throws. */
export async function keep(
  edges: SignInEdges,
  settings: SignInSettings,
  { set, identity }: Redeemed,
): Promise<SignedIn> {
  const store = openTokenStore(edges, settings);
  const before = await edges.index.get(store.key);
  await store.alone(() => store.save(set, identity));
  if (!set.refreshToken && set.lifetimeMs !== undefined) {
    edges.log.info('the provider gave no refresh token', { hint: refreshTokenAdvice });
  }
  const signedIn = signedInBy(edges, settings, { set, identity });
  const known =
    before?.issuer === set.issuer && before.subject !== undefined && identity.subject !== undefined;
  if (!known || before.subject === identity.subject) return signedIn;
  const instead = before.name ?? before.subject;
  edges.log.warn('you are signed in as another account than before', {
    before: instead,
    now: identity.name ?? identity.subject,
    hint: 'to keep both, give one a profile of its own: --profile NAME',
  });
  return { ...signedIn, instead };
}

/** What a sign-in came to, from what was kept of it. */
export function signedInBy(
  edges: SignInEdges,
  settings: SignInSettings,
  { set, identity }: Redeemed,
): SignedIn {
  return {
    key: openTokenStore(edges, settings).key,
    server: settings.server.href,
    profile: settings.profile,
    issuer: set.issuer,
    subject: identity.subject,
    name: identity.name,
    scopes: set.scope.split(' ').filter(Boolean),
    expiresAt: set.lifetimeMs === undefined ? undefined : set.receivedAt + set.lifetimeMs,
    store: edges.vault.description,
    clientId: set.client.id,
  };
}

export const forgotten = (issuer: string) =>
  new AppError('registration_failed', `${display(issuer)} forgets us as soon as it has registered us`, {
    hint: 'register a native client there, and give its id with --client-id',
  });

export function donePageOf({ name, subject, server, profile, instead }: SignedIn): Outcome {
  const account = { profile: profile === 'default' ? undefined : profile, instead };
  return { signedIn: true, name: name ?? subject, server, ...account };
}

export function failedPageOf(error: unknown): Outcome {
  const { code, message, hint } = asAppError(error);
  if (code === 'internal') return { signedIn: false, message: 'Something went wrong.', hint: undefined };
  return { signedIn: false, message, hint };
}

/** A server that now names another issuer gets a new sign-in, and the person a word about it (security C21). */
export async function sayMove(edges: SignInEdges, settings: SignInSettings, issuer: string): Promise<void> {
  const before = await edges.index.get(openTokenStore(edges, settings).key);
  if (!before || before.issuer === issuer) return;
  edges.log.warn(`${settings.server.href} names another authorization server than before`, {
    before: before.issuer,
    now: issuer,
  });
}
