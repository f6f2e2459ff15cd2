import { randomBytes } from 'node:crypto';
import { AppError, asAppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import type { Client } from './client/client.ts';
import { clientFor, findRegistration } from './client/registration.ts';
import { openRegistrations } from './client/registrations.ts';
import type { Reach } from './discovery/reach.ts';
import type { Discovery } from './discovery.ts';
import type { SignInEdges } from './edges.ts';
import { type Loopback, type Outcome, openLoopback } from './redirect/loopback.ts';
import { type AuthorizationRequest, createRequest } from './request.ts';
import { redeem } from './tokens/redeem.ts';
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
  const state = randomBytes(32).toString('base64url');
  const found = await findRegistration(edges, reach, settings, server);
  const listener = await listen(settings, state, found && Number(new URL(found.redirectUri).port));
  try {
    const { redirectUri } = listener;
    const client: Client = await clientFor(edges, reach, settings, server, redirectUri, found);
    const parts = { discovery, client, redirectUri, state, moreScope, now: edges.now() };
    return { request: await createRequest(reach, settings, parts), listener };
  } catch (error) {
    await listener.close();
    throw error;
  }
}

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

/**
 * Redeems the redirect and keeps the tokens; only then is anybody signed in.
 *
 * Out: `client_forgotten` when the issuer no longer knows our registration, which is dropped. Throws what
 * `redeem` and the vault throw.
 */
export async function conclude(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  request: AuthorizationRequest,
  redirect: URLSearchParams,
): Promise<SignedIn | 'client_forgotten'> {
  const redeemed = await redeem(reach, request, redirect, edges.now);
  if (redeemed === 'client_forgotten') {
    await openRegistrations(edges).remove(request.server.issuer, request.client.id);
    return redeemed;
  }
  const { set, identity } = redeemed;
  const store = openTokenStore(edges, settings);
  await store.alone(() => store.save(set, identity));
  return {
    key: store.key,
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
  new AppError('registration_failed', `${display(issuer)} had forgotten us since the last sign-in`, {
    hint: 'run mcp-whoami login again: we register anew',
  });

export function donePageOf({ name, subject, server }: SignedIn): Outcome {
  return { signedIn: true, name: name ?? subject, server };
}

export function failedPageOf(error: unknown): Outcome {
  const { code, message, hint } = asAppError(error);
  if (code === 'internal') return { signedIn: false, message: 'Something went wrong.', hint: undefined };
  return { signedIn: false, message, hint };
}

/** A server that now names another issuer gets a new sign-in, and the person a word about it (security C21). */
async function sayMove(edges: SignInEdges, settings: SignInSettings, issuer: string): Promise<void> {
  const before = await edges.index.get(openTokenStore(edges, settings).key);
  if (!before || before.issuer === issuer) return;
  edges.log.warn(`${settings.server.href} names another authorization server than before`, {
    before: before.issuer,
    now: issuer,
  });
}
