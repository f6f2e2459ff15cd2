import { exportJWK, generateKeyPair } from 'jose';
import { startRealProvider } from './real-provider.ts';

export interface LogtoLike {
  /** `http://127.0.0.1:PORT/oidc`: an issuer with a path, as `https://TENANT.logto.app/oidc`. */
  readonly issuer: string;
  readonly clientId: string;
  /** Requests seen so far, by path below the issuer. */
  count(path: string): number;
  close(): Promise<void>;
}

/**
 * A real `oidc-provider`, set up as Logto runs it: an issuer with a path, no dynamic registration, a native
 * client registered in advance, an unknown `resource` refused with `invalid_target`, an opaque access token
 * without one and a JWT for an API resource that was registered. Its pages answer by themselves, so that a
 * plain HTTP client can be the browser.
 */
export async function logtoLike(apiResources: readonly string[] = []): Promise<LogtoLike> {
  const clientId = 'native-app-of-the-tutorial';
  const { privateKey } = await generateKeyPair('ES384', { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: 'logto-1', alg: 'ES384', use: 'sig' };
  const { issuer, count, close } = await startRealProvider({
    accountId: 'carol',
    claims: { name: 'Carol', username: 'carol', email: 'carol@example.com' },
    resourceScope: 'call:tools',
    configure: ({ errors }) => ({
      jwks: { keys: [key] },
      claims: { openid: ['sub'], profile: ['name', 'username'], email: ['email'] },
      enabledJWA: { idTokenSigningAlgValues: ['ES384'] },
      clientDefaults: {},
      clients: [
        {
          client_id: clientId,
          application_type: 'native',
          token_endpoint_auth_method: 'none',
          id_token_signed_response_alg: 'ES384',
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: ['http://127.0.0.1/callback'],
        },
      ],
      features: {
        devInteractions: { enabled: false },
        registration: { enabled: false },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, resource) => {
            if (!apiResources.includes(resource)) throw new errors.InvalidTarget();
            // A token for an API carries the API's own permissions, never `openid` or `profile`.
            return {
              scope: 'call:tools',
              audience: resource,
              accessTokenFormat: 'jwt',
              jwt: { sign: { alg: 'ES384' } },
            };
          },
        },
      },
    }),
  });

  return { issuer, clientId, count, close };
}
