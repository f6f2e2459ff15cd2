import { AppError } from '../../lib/errors.ts';
import { isObject, type JsonObject, parseJsonObject, stringMember } from '../../lib/json.ts';
import { Secret } from '../../lib/secret.ts';
import type { SignInSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { version } from '../../lib/version.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import { exchangeWith, issuerDown, issuerFailure, type Reach } from '../discovery/reach.ts';
import type { SignInEdges } from '../edges.ts';
import { authMethodFor, type Client, checkClientId, type KeyReference } from './client.ts';
import { publicJwk, readClientKey } from './client-key.ts';
import { givenClient } from './given.ts';
import { keyReferenceFor } from './key-reference.ts';
import { isKnown } from './known.ts';
import { openRegistrations, type Registration } from './registrations.ts';

const hint = 'register a native client at the provider, and give its id with --client-id';

/**
 * The registration made earlier at this issuer, if it can serve again: its redirect URI fits what was asked
 * for, its secret has not ended, and the issuer still knows it. A forgotten one is dropped here, before a
 * browser opens on an error page that never comes back to us.
 */
export async function findRegistration(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  server: AuthorizationServer,
): Promise<Registration | undefined> {
  if (settings.clientId !== undefined) return undefined;
  const registrations = openRegistrations(edges);
  const kept = await registrations.get(server.issuer);
  if (!kept) return undefined;
  const { hostname, port } = new URL(kept.redirectUri);
  const fits =
    hostname === settings.redirectHost &&
    kept.client.key?.file === settings.clientKey &&
    (settings.redirectPort === undefined || Number(port || 80) === settings.redirectPort) &&
    (kept.secretExpiresAt === undefined || kept.secretExpiresAt > edges.now() + 60_000);
  if (fits && (await isKnown(reach, server, kept.client))) return kept;
  await registrations.remove(server.issuer, kept.client.id);
  return undefined;
}

/**
 * The client to sign in with: given in advance, else a client id metadata document, else the registration found,
 * else a new dynamic registration (MCP client registration, order of preference).
 *
 * Throws AppError `registration_failed`, `issuer_unreachable`, `metadata_invalid` (a secret that was given for
 * another issuer).
 */
export async function clientFor(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  server: AuthorizationServer,
  redirectUri: string,
  found: Registration | undefined,
): Promise<Client> {
  if (settings.clientId !== undefined) return givenClient(edges, settings, server);
  if (found?.redirectUri === redirectUri) return found.client;
  const { clientKey } = settings;
  const key = clientKey === undefined ? undefined : await keyReferenceFor(clientKey, server, edges.log);
  const registration = await register(reach, server, redirectUri, { key });
  await openRegistrations(edges).put(registration);
  return registration.client;
}

/** What a registration asks for beyond the code flow of a public client. */
export interface Special {
  readonly key?: KeyReference | undefined;
  readonly grants?: readonly string[];
}

/** Registers us anew (RFC 7591). Throws AppError `registration_failed`, `issuer_unreachable`. */
export async function register(
  reach: Reach,
  server: AuthorizationServer,
  redirectUri: string,
  special: Special,
): Promise<Registration> {
  const { issuer, registration_endpoint: endpoint } = server;
  if (endpoint === undefined) {
    throw new AppError('registration_failed', `${display(issuer)} lets no client register itself`, { hint });
  }
  const answer = await exchangeWith(reach, endpoint, 'the registration endpoint', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(await registrationRequest(server, redirectUri, special)),
  }).catch((error: unknown) => {
    throw issuerFailure(error, new URL(endpoint), issuer);
  });
  if (answer.status >= 500 || answer.status === 429) {
    throw issuerDown(issuer, `its registration endpoint answers with status ${answer.status}`);
  }
  if (answer.status < 200 || answer.status > 299) {
    const why = errorText(answer.body) ?? `status ${answer.status}`;
    throw new AppError('registration_failed', `${display(issuer)} refused to register us (${why})`, { hint });
  }
  return readRegistration(parseJsonObject(answer.body, endpoint), server, redirectUri, special.key);
}

async function registrationRequest(
  server: AuthorizationServer,
  redirectUri: string,
  { key, grants = [] }: Special,
): Promise<JsonObject> {
  const methods = server.token_endpoint_auth_methods_supported;
  return {
    client_name: 'mcp-whoami',
    redirect_uris: [redirectUri],
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token', ...grants],
    response_types: ['code'],
    ...(key ? await keyMembers(key) : publicMembers(methods)),
    software_id: 'mcp-whoami',
    software_version: version,
  };
}

/** Where `none` is not listed the server chooses: asking for it makes some of them a broken client. */
function publicMembers(methods: readonly string[] | undefined): JsonObject {
  return methods === undefined || methods.includes('none') ? { token_endpoint_auth_method: 'none' } : {};
}

async function keyMembers({ file, algorithm }: KeyReference): Promise<JsonObject> {
  return {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [publicJwk(await readClientKey(file), algorithm)] },
  };
}

/**
 * RFC 7591 3.2.1: the server may change anything. What counts is the id, the secret and how it is sent, and what
 * it will ask of every request.
 */
function readRegistration(
  answer: JsonObject,
  server: AuthorizationServer,
  redirectUri: string,
  key: KeyReference | undefined,
): Registration {
  const { issuer, token_endpoint_auth_methods_supported: methods } = server;
  const id = stringMember(answer, 'client_id');
  if (id === undefined) {
    throw new AppError('registration_failed', `${display(issuer)} registered us without a client id`, {
      hint,
    });
  }
  const text = stringMember(answer, 'client_secret');
  const told = stringMember(answer, 'token_endpoint_auth_method');
  const byKey = key !== undefined && (told ?? 'private_key_jwt') === 'private_key_jwt';
  const secret = text !== undefined && told !== 'none' && !byKey ? new Secret(text) : undefined;
  const end = Number(answer.client_secret_expires_at);
  return {
    issuer,
    client: {
      id: checkClientId(id),
      secret,
      authMethod: byKey ? 'private_key_jwt' : authMethodFor(secret, told, methods),
      ...(byKey ? { key } : {}),
      dynamic: true,
      ...(answer.dpop_bound_access_tokens === true ? { bindsTokens: true } : {}),
      ...(answer.require_pushed_authorization_requests === true ? { pushesRequests: true } : {}),
    },
    redirectUri,
    secretExpiresAt: secret && end > 0 ? end * 1000 : undefined,
  };
}

function errorText(body: string): string | undefined {
  try {
    const answer = parseJsonObject(body, 'the registration endpoint');
    if (!isObject(answer)) return undefined;
    const words = [stringMember(answer, 'error'), stringMember(answer, 'error_description')];
    return display(words.filter(Boolean).join(': '), 200) || undefined;
  } catch {
    return undefined;
  }
}
