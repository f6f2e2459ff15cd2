import type { JWK } from 'jose';
import type { ClientAuthMethod, ClientMetadata } from 'oidc-provider';
import { startRealProvider } from './real-provider.ts';

/** A grant that the provider gave, and how the client proved itself. */
export interface Granted {
  readonly type: string;
  readonly client: string;
  readonly method: ClientAuthMethod;
  readonly resource: unknown;
  readonly scope: unknown;
}

export interface ConfidentialProvider {
  /** `http://127.0.0.1:PORT/oidc`. */
  readonly issuer: string;
  readonly grants: readonly Granted[];
  /** Token requests refused so far. */
  refusals(): number;
  /** Tokens revoked so far. */
  revocations(): number;
  close(): Promise<void>;
}

export interface ConfidentialOptions {
  readonly clients: readonly ClientMetadata[];
  /** How clients may prove themselves, as the metadata lists it. Default: in every way that we know. */
  readonly methods?: readonly ClientAuthMethod[];
  /** Lifetime of access tokens, in seconds. Default: 600. */
  readonly accessSeconds?: number;
  /** Assertions must be meant for the endpoint that they are sent to, as some providers want it. */
  readonly audience?: 'endpoint';
  /** Access tokens can be looked up and revoked, in place of JWTs. */
  readonly opaque?: boolean;
}

const everyMethod = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const;

/** A client that may do all that these tests ask for. */
export const confidentialClient = (more: ClientMetadata): ClientMetadata => ({
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  redirect_uris: ['http://127.0.0.1/callback'],
  id_token_signed_response_alg: 'ES256',
  ...more,
});

/** The public half of a key, for a client's metadata. */
export const publicKeys = (...keys: JWK[]) => ({
  keys: keys.map(({ d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest }) => rest),
});

/**
 * A real `oidc-provider` with confidential clients registered in advance: secrets in Basic and in the body,
 * `private_key_jwt`, the client credentials grant, open registration, revocation; JWT access tokens for any
 * resource on loopback. Its pages answer by themselves: the person is Dora.
 */
export async function confidentialProvider(options: ConfidentialOptions): Promise<ConfidentialProvider> {
  const grants: Granted[] = [];
  let [revocations, refusals] = [0, 0];
  const { issuer, provider, close } = await startRealProvider({
    accountId: 'dora',
    claims: { name: 'Dora', email: 'dora@example.com' },
    resourceScope: 'openid profile email',
    accessSeconds: options.accessSeconds,
    configure: ({ errors }, own) => ({
      clientAuthMethods: [...(options.methods ?? everyMethod)],
      enabledJWA: {
        idTokenSigningAlgValues: ['ES256'],
        clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      },
      clients: [...options.clients],
      issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
      assertJwtClientAuthClaimsAndHeader: async (ctx, claims) => {
        if (options.audience !== 'endpoint') return;
        if (claims.aud !== `${own}${ctx.path}`) throw new errors.InvalidClientAuth('audience');
      },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        registration: { enabled: true, initialAccessToken: false },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, resource) => {
            if (!/^http:\/\/(localhost|127\.0\.0\.1):/.test(resource)) throw new errors.InvalidTarget();
            const all = { scope: 'openid profile email', audience: resource };
            if (options.opaque) return { ...all, accessTokenFormat: 'opaque' };
            return { ...all, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
          },
        },
      },
    }),
  });
  provider.on('grant.success', (ctx) => {
    const { client, params } = ctx.oidc;
    grants.push({
      type: String(params?.grant_type),
      client: client?.clientId ?? '',
      method: methodOf(ctx.headers.authorization, params ?? {}),
      resource: params?.resource,
      scope: params?.scope,
    });
  });
  provider.on('grant.error', () => {
    refusals += 1;
  });
  const revoked = () => {
    revocations += 1;
  };
  provider.on('access_token.destroyed', revoked);
  provider.on('refresh_token.destroyed', revoked);
  provider.on('client_credentials.destroyed', revoked);

  return {
    issuer,
    grants,
    refusals: () => refusals,
    revocations: () => revocations,
    close,
  };
}

/** As it was sent: the provider takes a secret in either way from a client that is registered for one. */
function methodOf(authorization: string | undefined, params: Record<string, unknown>): ClientAuthMethod {
  if (authorization?.startsWith('Basic ')) return 'client_secret_basic';
  if (params.client_assertion !== undefined) return 'private_key_jwt';
  return params.client_secret === undefined ? 'none' : 'client_secret_post';
}
