import { asAppError } from '../../lib/errors.ts';
import type { SignInSettings } from '../../lib/settings.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { Reach } from '../discovery/reach.ts';
import type { SignInEdges } from '../edges.ts';
import { redirectUriOf } from '../redirect/loopback.ts';
import type { Client } from './client.ts';
import { givenClient } from './given.ts';
import { keyReferenceFor } from './key-reference.ts';
import { isKnown } from './known.ts';
import { register } from './registration.ts';
import { openRegistrations, type Registration } from './registrations.ts';

/** The grant's name at registration (RFC 8628 4), and what glewlwyd wants to hear in its place. */
const grantNames = ['urn:ietf:params:oauth:grant-type:device_code', 'device_authorization'] as const;

/**
 * The client for the device flow: given in advance, else a registration of its own. The browser's is left alone,
 * so that a server which knows no such grant at registration loses nobody the other way.
 *
 * Throws AppError `registration_failed`, `issuer_unreachable`, `metadata_invalid`.
 */
export async function deviceClientFor(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  server: AuthorizationServer,
): Promise<Client> {
  if (settings.clientId !== undefined) return givenClient(edges, settings, server);
  const registrations = openRegistrations(edges);
  const kept = await registrations.get(server.issuer, 'device');
  if (kept) {
    const ended = kept.secretExpiresAt !== undefined && kept.secretExpiresAt <= edges.now() + 60_000;
    const fits = kept.client.key?.file === settings.clientKey && !ended;
    if (fits && (await isKnown(reach, server, kept.client))) return kept.client;
    await registrations.remove(server.issuer, kept.client.id);
  }
  const registration = await registerForDevices(edges, reach, settings, server);
  await registrations.put(registration, 'device');
  return registration.client;
}

/** With a redirect URI all the same: many servers register nobody without one. */
async function registerForDevices(
  { log }: SignInEdges,
  reach: Reach,
  { redirectHost, redirectPort, clientKey }: SignInSettings,
  server: AuthorizationServer,
): Promise<Registration> {
  const key = clientKey === undefined ? undefined : await keyReferenceFor(clientKey, server, log);
  const redirectUri = redirectUriOf(redirectHost, redirectPort);
  const [usual, other] = grantNames;
  return register(reach, server, redirectUri, { key, grants: [usual] }).catch((refused: unknown) => {
    if (asAppError(refused).code !== 'registration_failed') throw refused;
    return register(reach, server, redirectUri, { key, grants: [other] }).catch(() => {
      throw refused;
    });
  });
}
