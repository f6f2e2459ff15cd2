import type * as Library from 'oidc-provider';
import type { AdapterFactory, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { canonicalResource } from '../lib/url.ts';
import { createDocumentFetch } from './documents.ts';
import { isLoopbackOrigin } from './front.ts';
import type { ProviderKeys } from './keys.ts';
import { type DemoProviderOptions, defaultAccessTokenSeconds } from './options.ts';
import { everyTime } from './policy.ts';
import { claimsFor, claimsOfScope, demoUser } from './users.ts';
import { deviceViews, showError } from './views.ts';

export interface ConfigurationParts {
  readonly library: typeof Library;
  readonly options: DemoProviderOptions;
  readonly keys: ProviderKeys;
  readonly adapter: AdapterFactory;
  /** Path of the issuer, `/oidc`. */
  readonly mount: string;
  readonly port: number;
}

const day = 24 * 60 * 60;
export const scopes = ['openid', 'profile', 'email', 'offline_access'] as const;

/**
 * How the protocol library is set up. Every function that it would otherwise fill in with a default of its own
 * is given, and everything that the product does not need is off.
 */
export function createConfiguration(parts: ConfigurationParts): Configuration {
  const { options, keys, library, mount, port } = parts;
  const accessTokenSeconds = options.accessTokenSeconds ?? defaultAccessTokenSeconds;
  const cookie = { httpOnly: true, sameSite: 'lax', signed: true } as const;
  return {
    adapter: parts.adapter,
    jwks: { keys: [keys.signing] },
    cookies: {
      keys: [keys.cookie],
      // Cookies do not know ports (RFC 6265 8.5): two servers on this machine must not share this one.
      names: { session: `whoami_session_${port}`, interaction: 'whoami_sign_in', resume: 'whoami_resume' },
      long: { ...cookie, path: mount },
      short: cookie,
    },
    scopes: [...scopes],
    claims: Object.fromEntries(Object.entries(claimsOfScope).map(([scope, claims]) => [scope, [...claims]])),
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => {
      const user = demoUser(id);
      return user && { accountId: user.id, claims: () => ({ sub: user.id, ...user.claims }) };
    },
    // userinfo refuses a token that is bound to a resource: such a token says itself who the user is.
    extraTokenClaims: (_ctx, token) => {
      const user = 'accountId' in token ? demoUser(token.accountId) : undefined;
      return user && token.aud ? claimsFor(user, token.scopes) : undefined;
    },
    responseTypes: ['code'],
    pkce: { required: () => true },
    allowOmittingSingleRegisteredRedirectUri: false,
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    clientDefaults: {
      // RFC 8252 7.3: any loopback port. Clients that leave the type out mean this here, on loopback.
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      id_token_signed_response_alg: 'ES256',
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clients: introspectionClients(options),
    clientBasedCORS: (_ctx, origin) => isLoopbackOrigin(origin),
    fetch: createDocumentFetch(options.clientDocuments ?? {}),
    fetchResponseBodyLimits: {
      'client_id metadata document': 16 * 1024,
      jwks_uri: 64 * 1024,
      sector_identifier_uri: 64 * 1024,
    },
    interactions: {
      policy: everyTime(library.interactionPolicy),
      url: (_ctx, interaction) => `${mount}/interaction/${interaction.uid}`,
    },
    loadExistingGrant: async (ctx) => {
      const id = ctx.oidc.result?.consent?.grantId;
      return id ? ctx.oidc.provider.Grant.find(id) : undefined;
    },
    issueRefreshToken: async (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access'),
    rotateRefreshToken: true,
    expiresWithSession: async () => false,
    renderError: showError,
    features: features(parts, accessTokenSeconds),
    ttl: {
      AccessToken: () => accessTokenSeconds,
      AuthorizationCode: 60,
      ClientCredentials: () => accessTokenSeconds,
      DeviceCode: 600,
      Grant: 365 * day,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 30 * day,
      Session: day,
      BackchannelAuthenticationRequest: 600,
      PreAuthorizedCode: 600,
    },
  };
}

function features(
  { options, library }: ConfigurationParts,
  accessTokenSeconds: number,
): NonNullable<Configuration['features']> {
  const own = (ctx: KoaContextWithOIDC, token: { clientId?: string | undefined }) =>
    token.clientId !== undefined && token.clientId === ctx.oidc.client?.clientId;
  return {
    devInteractions: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    registration: { enabled: true, initialAccessToken: false, issueRegistrationAccessToken: false },
    clientIdMetadataDocument: {
      enabled: true,
      ack: 'draft-02',
      allowFetch: () => true,
      allowClient: () => true,
    },
    revocation: { enabled: true, allowedPolicy: async (ctx, _client, token) => own(ctx, token) },
    introspection: {
      enabled: true,
      allowedPolicy: async (ctx, client, token) =>
        own(ctx, token) || client.clientId === options.introspectionClient?.id,
    },
    deviceFlow: {
      enabled: true,
      charset: 'base-20',
      mask: '****-****',
      deviceInfo: () => ({}),
      ...deviceViews,
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (_ctx, _client, oneOf) => oneOf ?? [],
      useGrantedResource: async () => true,
      getResourceServerInfo: async (_ctx, indicator) => {
        const known = options.resources().find((resource) => sameResource(resource, indicator));
        if (known === undefined) throw new library.errors.InvalidTarget();
        return {
          scope: scopes.join(' '),
          audience: known,
          accessTokenTTL: accessTokenSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        };
      },
    },
  };
}

function sameResource(known: string, asked: string): boolean {
  if (known === asked) return true;
  return (
    URL.canParse(known) &&
    URL.canParse(asked) &&
    canonicalResource(new URL(known)) === canonicalResource(new URL(asked))
  );
}

function introspectionClients({ introspectionClient }: DemoProviderOptions): Library.ClientMetadata[] {
  if (!introspectionClient) return [];
  return [
    {
      client_id: introspectionClient.id,
      client_secret: introspectionClient.secret,
      client_name: 'whoami server',
      redirect_uris: [],
      grant_types: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
  ];
}
