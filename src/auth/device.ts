import { commandLine } from '../lib/command-line.ts';
import { AppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import { deviceClientFor } from './client/device-client.ts';
import { openRegistrations } from './client/registrations.ts';
import { createReach, type Reach } from './discovery/reach.ts';
import { type Discovery, discover } from './discovery.ts';
import { bind } from './dpop/binding.ts';
import type { SignInEdges } from './edges.ts';
import { wishesOf } from './request.ts';
import { forgotten, keep, type SignedIn, sayMove } from './steps.ts';
import { askForDeviceCode, type DeviceCode, pollForTokens } from './tokens/device-grant.ts';
import { settle } from './tokens/redeem.ts';
import { createDeadline, type Deadline } from './window/deadline.ts';
import { openSignInWindow } from './window/window.ts';

export type { DeviceCode } from './tokens/device-grant.ts';

export interface DeviceLoginOptions {
  /** Shows the person the code and where to type it. */
  onCode(code: DeviceCode): Promise<void> | void;
  /** Ends the sign-in with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
}

/** Longer than any code may be used. Milliseconds. */
const longestMs = 20 * 60_000;

/**
 * Signs a person in to one MCP server through a browser on another device (RFC 8628): discover -> register -> ask
 * for a code -> show it -> ask until they are done -> save.
 *
 * Out: `no_oauth_wanted` when the server asks for no sign-in. Throws AppError: those of `discover`,
 * `deviceClientFor`, `askForDeviceCode`, `pollForTokens` and the vault, `sign_in_failed` where the authorization
 * server has no device flow, `sign_in_timeout`, `cancelled`.
 */
export async function loginWithDevice(
  edges: SignInEdges,
  settings: SignInSettings,
  how: DeviceLoginOptions,
): Promise<SignedIn | 'no_oauth_wanted'> {
  const deadline = createDeadline(how.signal, longestMs, () => ranOut(settings));
  const reach = createReach(edges.http, settings, deadline.signal);
  // Bridges that need a sign-in meanwhile wait for this one.
  const claim = await openSignInWindow(edges, settings).tryClaim();
  try {
    const discovery = await discover(reach, settings, edges.log, 'device');
    if (discovery === 'no_oauth_wanted') return discovery;
    const { issuer, device_authorization_endpoint: offered } = discovery.server;
    if (offered === undefined) throw noDeviceFlow(settings, issuer);
    await sayMove(edges, settings, issuer);
    const walk = () => walkThrough(edges, reach, settings, discovery, { how, deadline });
    const result = await walk();
    if (result !== 'client_forgotten') return result;
    edges.log.info('the provider had forgotten us; we registered anew');
    const again = await walk();
    if (again === 'client_forgotten') throw forgotten(issuer);
    return again;
  } finally {
    deadline.clear();
    await claim?.release(false);
  }
}

async function walkThrough(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  discovery: Discovery,
  { how, deadline }: { how: DeviceLoginOptions; deadline: Deadline },
): Promise<SignedIn | 'client_forgotten'> {
  const { server } = discovery;
  const client = await deviceClientFor(edges, reach, settings, server);
  const { scope, resource, parameters } = wishesOf(settings, discovery);
  const binding = await bind(discovery.dpop, server, client, edges.now);
  const asked = { server, client, scope, resource, binding };
  const forget = () => openRegistrations(edges).remove(server.issuer, client.id);
  const code = await askForDeviceCode(reach, asked, parameters);
  if (code === 'client_forgotten') {
    await forget();
    return code;
  }
  await how.onCode(code);
  const polls = pollForTokens(reach, asked, code, edges.log, () => ranOut(settings));
  const granted = await Promise.race([polls, deadline.ended]);
  if (granted === 'client_forgotten') {
    await forget();
    return granted;
  }
  return keep(edges, settings, await settle(reach, asked, granted, edges.now()));
}

function ranOut(settings: SignInSettings): AppError {
  const message = `nobody entered the code for ${settings.server.href} in time`;
  return new AppError('sign_in_timeout', message, { hint: `run ${commandLine('login', settings)} --device` });
}

function noDeviceFlow(settings: SignInSettings, issuer: string): AppError {
  return new AppError('sign_in_failed', `${display(issuer)} offers no device flow`, {
    hint: `run ${commandLine('login', settings)} --no-browser: it prints an address to open on any machine`,
  });
}
