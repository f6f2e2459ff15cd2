import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import { quietLibrary } from '../../src/idp/quiet.ts';
import { silentLog } from '../../src/lib/log.ts';

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
  const endQuiet = quietLibrary(silentLog);
  const { errors, Provider } = await import('oidc-provider');
  const counts = new Map<string, number>();
  const http = createServer();
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const issuer = `${origin}/oidc`;
  const clientId = 'native-app-of-the-tutorial';
  const { privateKey } = await generateKeyPair('ES384', { extractable: true });
  const claims = { name: 'Carol', username: 'carol', email: 'carol@example.com' };

  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'logto-1', alg: 'ES384', use: 'sig' }] },
    cookies: { keys: ['not-a-secret-of-anybody'] },
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    claims: { openid: ['sub'], profile: ['name', 'username'], email: ['email'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims }) }),
    enabledJWA: { idTokenSigningAlgValues: ['ES384'] },
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
    interactions: { url: (_ctx, interaction) => `/oidc/interaction/${interaction.uid}` },
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
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      Grant: 3600,
      IdToken: 600,
      Interaction: 600,
      Session: 600,
      RefreshToken: 3600,
    },
  });

  const callback = provider.callback();
  http.on('request', async (req, res) => {
    const path = new URL(req.url ?? '/', origin).pathname;
    if (!path.startsWith('/oidc/')) return void res.writeHead(404).end();
    const below = path.slice('/oidc'.length);
    counts.set(below, (counts.get(below) ?? 0) + 1);
    if (below.startsWith('/interaction/')) return answerInteraction(req, res);
    Object.assign(req, { originalUrl: req.url });
    req.url = (req.url ?? '').slice('/oidc'.length);
    void callback(req, res);
  });

  async function answerInteraction(req: Parameters<typeof callback>[0], res: Parameters<typeof callback>[1]) {
    const { prompt, params, session } = await provider.interactionDetails(req, res);
    if (prompt.name === 'login') {
      return provider.interactionFinished(req, res, { login: { accountId: 'carol' } });
    }
    const grant = new provider.Grant({
      accountId: session?.accountId ?? 'carol',
      clientId: String(params.client_id),
    });
    grant.addOIDCScope('openid profile email offline_access');
    for (const resource of apiResources) grant.addResourceScope(resource, 'call:tools');
    return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
  }

  return {
    issuer,
    clientId,
    count: (path) => counts.get(path) ?? 0,
    close: async () => {
      endQuiet();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
