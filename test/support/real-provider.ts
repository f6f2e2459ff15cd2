import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import type * as Library from 'oidc-provider';
import type Provider from 'oidc-provider';
import type { Configuration } from 'oidc-provider';
import { quietLibrary } from '../../src/idp/quiet.ts';
import { silentLog } from '../../src/lib/log.ts';

export interface RealProvider {
  /** `http://127.0.0.1:PORT/oidc`. */
  readonly issuer: string;
  readonly provider: Provider;
  /** Requests seen so far, by path below the issuer. */
  count(path: string): number;
  close(): Promise<void>;
}

export interface RealProviderOptions {
  /** Who signs in: the pages answer by themselves, so that a plain HTTP client can be the browser. */
  readonly accountId: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The scopes that a resource may be granted. */
  readonly resourceScope: string;
  /** Lifetime of access tokens, in seconds. Default: 600. */
  readonly accessSeconds?: number | undefined;
  configure(library: typeof Library, issuer: string): Configuration;
}

/** A real `oidc-provider` with a key of its own on a free loopback port. */
export async function startRealProvider(options: RealProviderOptions): Promise<RealProvider> {
  const endQuiet = quietLibrary(silentLog);
  const library = await import('oidc-provider');
  const counts = new Map<string, number>();
  const http = createServer();
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const issuer = `${origin}/oidc`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const { accountId, claims, accessSeconds = 600 } = options;
  const provider = new library.Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'provider-1', alg: 'ES256', use: 'sig' }] },
    cookies: { keys: ['not-a-secret-of-anybody'] },
    scopes: ['openid', 'profile', 'email', 'offline_access'],
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims }) }),
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    interactions: { url: (_ctx, interaction) => `/oidc/interaction/${interaction.uid}` },
    ttl: {
      AccessToken: accessSeconds,
      AuthorizationCode: 60,
      ClientCredentials: accessSeconds,
      Grant: 3600,
      IdToken: 600,
      Interaction: 600,
      PushedAuthorizationRequest: 60,
      RefreshToken: 3600,
      Session: 600,
    },
    ...options.configure(library, issuer),
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
    const { prompt, params } = await provider.interactionDetails(req, res);
    if (prompt.name === 'login') {
      return provider.interactionFinished(req, res, { login: { accountId } });
    }
    const grant = new provider.Grant({ accountId, clientId: String(params.client_id) });
    grant.addOIDCScope('openid profile email offline_access');
    if (params.resource) grant.addResourceScope(String(params.resource), options.resourceScope);
    return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
  }

  return {
    issuer,
    provider,
    count: (path) => counts.get(path) ?? 0,
    close: async () => {
      endQuiet();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
