import { commandLine } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import type { Secret } from '../../lib/secret.ts';
import type { SignInSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { SignInEdges } from '../edges.ts';
import { openTokenStore } from '../tokens/token-store.ts';
import { authMethodFor, type Client, checkClientId } from './client.ts';
import { keyReferenceFor } from './key-reference.ts';

/**
 * A client registered in advance (`--client-id`): with its key, with its secret, or public. Without either, an
 * https URL is a client id metadata document.
 *
 * The secret is the one that a person is asked for, else the one of the settings, else the one of the sign-in
 * before. Throws AppError `registration_failed`, `metadata_invalid` (secret or key belong to another issuer),
 * those of `keyReferenceFor` and of asking, and those of the vault.
 */
export async function givenClient(
  edges: SignInEdges,
  settings: SignInSettings,
  server: AuthorizationServer,
): Promise<Client> {
  const id = checkClientId(settings.clientId ?? '');
  const { issuer, token_endpoint_auth_methods_supported: methods } = server;
  if (settings.clientKey !== undefined) {
    await refuseOtherIssuer(edges, settings, id, issuer, 'key');
    const key = await keyReferenceFor(settings.clientKey, server, edges.log);
    return { id, secret: undefined, authMethod: 'private_key_jwt', key, dynamic: false };
  }
  const wanted = settings.clientSecret !== undefined || edges.askClientSecret !== undefined;
  const kept = wanted ? undefined : await keptSecret(edges, settings, id);
  if (wanted || kept) await refuseOtherIssuer(edges, settings, id, issuer, 'secret');
  const secret = (await edges.askClientSecret?.(id, issuer)) ?? settings.clientSecret ?? kept;
  if (!secret && /^https:/i.test(id) && !server.client_id_metadata_document_supported) {
    edges.log.warn('the provider does not say that it reads client id metadata documents', { issuer });
  }
  return { id, secret, authMethod: authMethodFor(secret, undefined, methods), dynamic: false };
}

/** The secret that the last sign-in here left in the vault, whether or not its tokens still serve. */
async function keptSecret(
  edges: SignInEdges,
  settings: SignInSettings,
  id: string,
): Promise<Secret | undefined> {
  const store = openTokenStore(edges, settings);
  if (edges.vault.kind !== 'memory' && (await edges.index.get(store.key))?.clientId !== id) return undefined;
  const client = (await store.load())?.client;
  return client?.id === id ? client.secret : undefined;
}

/** What proves a client goes to the issuer that it was first used with, and nowhere else (RFC 8252 8.5). */
async function refuseOtherIssuer(
  edges: SignInEdges,
  settings: SignInSettings,
  clientId: string,
  issuer: string,
  what: 'secret' | 'key',
): Promise<void> {
  const { server } = settings;
  // A vault in memory has no index: what this process has is all there is.
  const own = edges.vault.kind === 'memory' ? await openTokenStore(edges, settings).load() : undefined;
  const used = [
    ...(await edges.index.list()),
    ...(own
      ? [{ clientId: own.client.id, issuer: own.issuer, server: server.href, profile: settings.profile }]
      : []),
  ];
  const other = used.find((entry) => entry.clientId === clientId && entry.issuer !== issuer);
  if (!other) return;
  throw new AppError(
    'metadata_invalid',
    `the ${what} of client ${display(clientId, 80)} belongs to ${display(other.issuer)}, not to ${display(issuer)}`,
    { hint: `if ${other.server} has moved, run ${commandLine('logout', other)} first` },
  );
}
