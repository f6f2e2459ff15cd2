import { isScope } from '../lib/challenge.ts';
import { AppError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import { secureUrl } from '../lib/url.ts';
import type { Asked, AuthorizationRequest } from './authorization-request.ts';
import type { Client } from './client/client.ts';
import type { AuthorizationServer } from './discovery/issuer-metadata.ts';
import type { Reach } from './discovery/reach.ts';
import type { Discovery } from './discovery.ts';
import { bind } from './dpop/binding.ts';
import { mustPush, push } from './pushed-request.ts';
import { configure, loadLibrary } from './tokens/oauth.ts';

const longestUrl = 8 * 1024;

/** Set by us alone: `--auth-param` may not touch them. */
const ours = new Set([
  'response_type',
  'response_mode',
  'client_id',
  'redirect_uri',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'scope',
  'resource',
  'dpop_jkt',
  'request',
  'request_uri',
  'grant_type',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
]);

export interface RequestParts {
  readonly discovery: Discovery;
  readonly client: Client;
  readonly redirectUri: string;
  readonly state: string;
  /** Asked for on top (step-up after a 403). */
  readonly moreScope?: string | undefined;
  /** Milliseconds since the epoch. */
  now(): number;
}

/**
 * Writes the request, and pushes it where that is demanded. Out: `client_forgotten` as `push` has it.
 *
 * Throws AppError `insecure_url`, `metadata_invalid`, `usage` (an `--auth-param` that is ours to set), and those of
 * `push`.
 */
export async function createRequest(
  reach: Reach,
  settings: SignInSettings,
  parts: RequestParts,
): Promise<AuthorizationRequest | 'client_forgotten'> {
  const { discovery, client, redirectUri, state } = parts;
  const { server } = discovery;
  const library = await loadLibrary();
  const verifier = library.randomPKCECodeVerifier();
  const { scope, resource, parameters: wishes } = wishesOf(settings, discovery, parts.moreScope);
  const nonce = scope?.split(' ').includes('openid') ? library.randomNonce() : undefined;
  const binding = await bind(discovery.dpop, server, client, parts.now);
  const parameters = {
    ...wishes,
    ...(nonce ? { nonce } : {}),
    // The code is bound as well: nobody else can redeem it (RFC 9449 10).
    ...(binding ? { dpop_jkt: await binding.prover.thumbprint() } : {}),
    redirect_uri: redirectUri,
    state,
    code_challenge: await library.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  const plain = () => ({
    url: library.buildAuthorizationUrl(configure(library, { reach, server, client }), parameters).href,
    pushed: undefined,
  });
  const pushes = mustPush(server, client);
  const address = pushes ? await push(reach, { server, client, parameters, now: parts.now() }) : plain();
  if (address === 'client_forgotten') return address;
  const target = secureUrl(address.url, 'the authorization URL', reach.policy);
  // The browser is not sent where we would not go ourselves.
  await reach.guard.check(target);
  const { href } = target;
  if (href.length > longestUrl) {
    throw new AppError(
      'metadata_invalid',
      `the authorization URL of ${display(server.issuer)} is too long (${href.length} characters)`,
      { hint: 'ask for fewer scopes with --scope' },
    );
  }
  return {
    url: href,
    pushed: address.pushed,
    redirectUri,
    state,
    verifier: new Secret(verifier),
    nonce,
    scope,
    resource,
    binding,
    server,
    client,
    startedAt: parts.now(),
  };
}

/** `--resource`, else the one of the server's metadata; undefined: the parameter is left out (RFC 8707 2). */
export function resourceToAsk(
  settings: Pick<SignInSettings, 'resource'>,
  discovery: Pick<Discovery, 'resource'>,
): string | undefined {
  return settings.resource === 'none' ? undefined : (settings.resource ?? discovery.resource);
}

/**
 * What the settings and the server want of a sign-in, and how it is written as parameters of a request. A server
 * ignores the ones that it does not know (RFC 6749 3.1).
 *
 * Throws AppError `usage`.
 */
export function wishesOf(
  settings: SignInSettings,
  discovery: Discovery,
  moreScope?: string,
): Pick<Asked, 'scope' | 'resource'> & { readonly parameters: Record<string, string> } {
  const scopes = scopesToAsk(settings, discovery, moreScope);
  const scope = scopes.length > 0 ? scopes.join(' ') : undefined;
  const resource = resourceToAsk(settings, discovery);
  const prompt = promptFor(settings, scopes, discovery.server);
  const parameters = {
    ...(prompt ? { prompt } : {}),
    ...extraParameters(settings.authParams),
    ...(scope ? { scope } : {}),
    ...(resource ? { resource } : {}),
  };
  return { scope, resource, parameters };
}

/**
 * `--scope`, else what the server asks for and `offline_access` where the issuer lists it (MCP authorization,
 * Scope Selection Strategy and Refresh Tokens); a step-up adds to either.
 */
export function scopesToAsk(
  settings: Pick<SignInSettings, 'scope'>,
  discovery: Pick<Discovery, 'scopes' | 'server'>,
  more: string | undefined,
): string[] {
  const words = (text: string) => text.split(/\s+/).filter(Boolean);
  const offline = discovery.server.scopes_supported?.includes('offline_access') ? ['offline_access'] : [];
  const base = settings.scope === undefined ? [...discovery.scopes, ...offline] : words(settings.scope);
  const asked = [...new Set([...base, ...words(more ?? '')])];
  if (asked.length === 0 || isScope(asked.join(' '))) return asked;
  throw new AppError('usage', `"${display(asked.join(' '))}" are no scopes`);
}

/** Logto and oidc-provider drop `offline_access` silently unless consent is asked for (OpenID Connect 11). */
function promptFor(
  settings: SignInSettings,
  scopes: readonly string[],
  server: AuthorizationServer,
): string | undefined {
  const offline = scopes.includes('offline_access') && server.scopes_supported?.includes('offline_access');
  const words = [...(settings.switchAccount ? ['select_account'] : []), ...(offline ? ['consent'] : [])];
  return words.length > 0 ? words.join(' ') : undefined;
}

/** `--auth-param`. Throws AppError `usage` for one that is ours to set. */
export function extraParameters(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const taken = Object.keys(given).find((name) => ours.has(name));
  if (taken === undefined) return given;
  throw new AppError('usage', `--auth-param ${taken} is not yours to set: mcp-whoami sets it itself`, {
    hint: 'scope and resource have flags of their own: --scope, --resource',
  });
}
