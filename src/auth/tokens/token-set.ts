import { isObject, type JsonObject, parseJsonObject, stringMember } from '../../lib/json.ts';
import { Secret } from '../../lib/secret.ts';
import type { Client, ClientAuthMethod, KeyReference } from '../client/client.ts';
import { clientAuthMethods, readings } from '../client/client.ts';
import { type DpopKey, parseDpopKey, printDpopKey } from '../dpop/key.ts';
import type { ClientGrant } from './client-grant.ts';

/**
 * What one sign-in leaves in the vault: the tokens, and all that a refresh and a revocation need, so that
 * neither asks for metadata again. Pinned to its issuer: a refresh token goes nowhere else.
 */
export interface TokenSet {
  readonly accessToken: Secret;
  readonly refreshToken: Secret | undefined;
  /** Granted scopes, space separated. */
  readonly scope: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly receivedAt: number;
  /** Lifetime at receipt in milliseconds; undefined when the issuer did not tell: use it until a 401. */
  readonly lifetimeMs: number | undefined;
  readonly issuer: string;
  /** Sent with each refresh; undefined: the parameter is left out. */
  readonly resource: string | undefined;
  readonly client: Client;
  /** The tokens are the client's own (RFC 6749 4.4): nobody signed in, and they are asked for again like this. */
  readonly clientGrant?: ClientGrant | undefined;
  readonly tokenEndpoint: string;
  readonly revocationEndpoint: string | undefined;
  readonly idTokenAlgorithms: readonly string[] | undefined;
  /** The key that the tokens are bound to (DPoP, RFC 9449); undefined: Bearer tokens. */
  readonly boundTo: DpopKey | undefined;
  /** The issuer refused the refresh for good. */
  readonly dead: boolean;
  /** When the person signed in; a refresh does not change it. Milliseconds since the epoch. */
  readonly signedInAt: number;
}

const longestLifetimeMs = 365 * 24 * 3600 * 1000;

/** `expires_in` in milliseconds, at most a year; undefined: unknown. */
export function lifetimeOf(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.min(seconds * 1000, longestLifetimeMs);
}

/** How long before its end a token is renewed: the smaller of 60 s and a tenth of its life. Milliseconds. */
export function marginOf(lifetimeMs: number): number {
  return Math.min(60_000, lifetimeMs / 10);
}

/** Whether there is something to renew it with, as far as we know. */
export function isRenewable({ refreshToken, clientGrant, dead }: TokenSet): boolean {
  return !dead && (refreshToken !== undefined || clientGrant !== undefined);
}

export function printTokenSet(set: TokenSet): Secret {
  const { accessToken, refreshToken, client, boundTo, ...rest } = set;
  return new Secret(
    JSON.stringify({
      version: 1,
      ...rest,
      accessToken: accessToken.reveal(),
      refreshToken: refreshToken?.reveal(),
      client: printClient(client),
      boundTo: boundTo && printDpopKey(boundTo),
    }),
  );
}

/** Throws AppError `remote_error` when the text is no token set of ours. */
export function parseTokenSet(text: Secret): TokenSet | undefined {
  const from = parseJsonObject(text.reveal(), 'the vault', 'remote_error');
  const [accessToken, issuer, tokenEndpoint] = ['accessToken', 'issuer', 'tokenEndpoint'].map((name) =>
    stringMember(from, name),
  );
  const client = parseClient(from.client as JsonObject | undefined);
  if (!accessToken || !issuer || !tokenEndpoint || !client) return undefined;
  const boundTo = parseDpopKey(from.boundTo);
  // Without its key a bound token is lost; it must not go out as a Bearer token.
  if (from.boundTo !== undefined && !boundTo) return undefined;
  const number = (name: string) => (typeof from[name] === 'number' ? (from[name] as number) : undefined);
  const refreshToken = stringMember(from, 'refreshToken');
  const algorithms = from.idTokenAlgorithms;
  return {
    accessToken: new Secret(accessToken),
    refreshToken: refreshToken === undefined ? undefined : new Secret(refreshToken),
    scope: stringMember(from, 'scope') ?? '',
    receivedAt: number('receivedAt') ?? 0,
    lifetimeMs: number('lifetimeMs'),
    issuer,
    resource: stringMember(from, 'resource'),
    client,
    ...(isObject(from.clientGrant) ? { clientGrant: parseClientGrant(from.clientGrant) } : {}),
    tokenEndpoint,
    revocationEndpoint: stringMember(from, 'revocationEndpoint'),
    idTokenAlgorithms: Array.isArray(algorithms) ? algorithms.map(String) : undefined,
    boundTo,
    dead: from.dead === true,
    signedInAt: number('signedInAt') ?? 0,
  };
}

export function printClient(client: Client): JsonObject {
  return { ...client, secret: client.secret?.reveal() };
}

export function parseClient(from: JsonObject | undefined): Client | undefined {
  const id = from && stringMember(from, 'id');
  if (!id) return undefined;
  const secret = stringMember(from, 'secret');
  const authMethod = clientAuthMethods.find((method) => method === from.authMethod) ?? 'none';
  const reading = readings.find((one) => one === from.reading);
  return {
    id,
    secret: secret === undefined ? undefined : new Secret(secret),
    authMethod: authMethod satisfies ClientAuthMethod,
    ...(isObject(from.key) ? { key: parseKey(from.key) } : {}),
    ...(reading ? { reading } : {}),
    dynamic: from.dynamic === true,
    ...(from.pushesRequests === true ? { pushesRequests: true } : {}),
    ...(from.bindsTokens === true ? { bindsTokens: true } : {}),
  };
}

function parseClientGrant(from: JsonObject): ClientGrant {
  const parameters = isObject(from.parameters) ? Object.entries(from.parameters) : [];
  return {
    scope: stringMember(from, 'scope'),
    parameters: Object.fromEntries(parameters.map(([name, value]) => [name, String(value)])),
  };
}

function parseKey(from: JsonObject): KeyReference | undefined {
  const [file, algorithm] = [stringMember(from, 'file'), stringMember(from, 'algorithm')];
  return file === undefined || algorithm === undefined ? undefined : { file, algorithm };
}
