import { randomBytes } from 'node:crypto';
import { type RealProvider, startRealProvider } from './real-provider.ts';

export interface DpopProvider extends RealProvider {
  /** The grants that it gave, in order. */
  readonly grants: string[];
  revocations(): number;
}

/**
 * A real authorization server that asks for everything: pushed authorization requests (RFC 9126), proofs with its own
 * nonce (RFC 9449 8), replays refused; JWT access tokens for any resource on loopback, bound to the key of the proof.
 * The person is Erin.
 */
export async function startDpopProvider(accessSeconds?: number): Promise<DpopProvider> {
  const real = await startRealProvider({
    accountId: 'erin',
    claims: { name: 'Erin', email: 'erin@example.com' },
    resourceScope: 'openid profile',
    accessSeconds,
    configure: ({ errors }) => ({
      enabledJWA: { idTokenSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256', 'ES384'] },
      issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
      rotateRefreshToken: true,
      features: {
        devInteractions: { enabled: false },
        dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
        pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
        registration: { enabled: true, initialAccessToken: false },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, resource) => {
            if (!/^http:\/\/(localhost|127\.0\.0\.1):/.test(resource)) throw new errors.InvalidTarget();
            return {
              scope: 'openid profile',
              audience: resource,
              accessTokenFormat: 'jwt',
              jwt: { sign: { alg: 'ES256' } },
            };
          },
        },
      },
    }),
  });
  const grants: string[] = [];
  let revocations = 0;
  real.provider.on('grant.success', (ctx) => void grants.push(String(ctx.oidc.params?.grant_type)));
  real.provider.on('refresh_token.destroyed', () => {
    revocations += 1;
  });
  return { ...real, grants, revocations: () => revocations };
}
