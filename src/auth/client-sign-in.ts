import { AppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { display } from '../lib/text.ts';
import { givenClient } from './client/given.ts';
import type { AuthorizationServer } from './discovery/issuer-metadata.ts';
import { createReach } from './discovery/reach.ts';
import { discover } from './discovery.ts';
import { bind } from './dpop/binding.ts';
import type { SignInEdges } from './edges.ts';
import { refusedBy } from './redirect/redirect.ts';
import { extraParameters, resourceToAsk, scopesToAsk } from './request.ts';
import { type SignedIn, sayMove, signedInBy } from './steps.ts';
import { askAsClient } from './tokens/client-grant.ts';
import { identityIn } from './tokens/identity.ts';
import type { Refusal } from './tokens/oauth.ts';
import { tokenSetOf } from './tokens/redeem.ts';
import { openTokenStore } from './tokens/token-store.ts';

/**
 * Signs in without a person: the client asks for a token of its own (client credentials, RFC 6749 4.4), with the
 * scope and the resource that a person's sign-in would ask for, and keeps it where a person's would be kept.
 *
 * Out: `no_oauth_wanted` when the server asks for no sign-in. Throws AppError: `usage` (no client, or nothing to
 * prove it with), those of `discover` but `pkce_unsupported`, those of `givenClient`, `sign_in_failed`,
 * `invalid_target`, `issuer_unreachable`, and those of the vault.
 */
export function signInAsClient(
  edges: SignInEdges,
  settings: SignInSettings,
  signal?: AbortSignal,
): Promise<SignedIn | 'no_oauth_wanted'> {
  return openTokenStore(edges, settings).alone(() => grantToClient(edges, settings, signal));
}

/** The same, for who holds the lock of the token set already. */
export async function grantToClient(
  edges: SignInEdges,
  settings: SignInSettings,
  signal?: AbortSignal,
): Promise<SignedIn | 'no_oauth_wanted'> {
  if (settings.clientId === undefined) throw nobody('which client? Name it with --client-id ID');
  const reach = createReach(edges.http, settings, signal);
  const discovery = await discover(reach, settings, edges.log, 'client');
  if (discovery === 'no_oauth_wanted') return discovery;
  const { server } = discovery;
  await sayMove(edges, settings, server.issuer);
  const client = await givenClient(edges, settings, server);
  if (client.authMethod === 'none') throw nobody('the client needs a secret or a key to prove itself');
  // There is no one to be offline: a new token needs no refresh token.
  const scopes = scopesToAsk(settings, discovery, undefined).filter((word) => word !== 'offline_access');
  const grant = {
    scope: scopes.length > 0 ? scopes.join(' ') : undefined,
    parameters: extraParameters(settings.authParams),
  };
  const resource = resourceToAsk(settings, discovery);
  const binding = await bind(discovery.dpop, server, client, edges.now);
  const result = await askAsClient({ reach, server, client, binding }, resource, grant);
  if ('refused' in result) throw refusedClient(server, result.refused, resource);
  const asked = { server, client: result.as, resource, scope: grant.scope, binding };
  const tokens = tokenSetOf(asked, result.granted, edges.now());
  const set = { ...tokens, refreshToken: undefined, clientGrant: grant };
  const { subject = client.id } = identityIn(result.granted);
  const identity = { subject, name: undefined };
  await openTokenStore(edges, settings).save(set, identity);
  return signedInBy(edges, settings, { set, identity });
}

const nobody = (what: string) =>
  new AppError('usage', `--client-credentials: ${what}`, {
    hint: '--client-id ID, and MCP_WHOAMI_CLIENT_SECRET, --ask-client-secret or --client-key FILE',
  });

function refusedClient(
  server: AuthorizationServer,
  { error = '', status, description }: Refusal,
  resource: string | undefined,
): AppError {
  const { issuer, grant_types_supported: listed } = server;
  // Some say `invalid_request`, and what they mean in their words only.
  const aboutGrant = ['unsupported_grant_type', 'unauthorized_client'].includes(error);
  if (!aboutGrant && !/grant.?type/i.test(description ?? '')) {
    return refusedBy(issuer, error || `status ${status}`, description, resource);
  }
  const said = description ? `: ${description}` : '';
  const lacks = listed && !listed.includes('client_credentials');
  const lists = lacks ? `; it lists ${display(listed.join(', '), 200)}` : '';
  const message = `${display(issuer)} gives this client no token of its own (${error}${said})${lists}`;
  return new AppError('sign_in_failed', message, {
    hint: 'allow the grant client_credentials for the client there, or leave out --client-credentials to sign a person in',
  });
}
