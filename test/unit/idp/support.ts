import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as oauth from 'openid-client';
import { type DemoProvider, type DemoProviderOptions, openDemoProvider } from '../../../src/idp/provider.ts';
import { createLog } from '../../../src/lib/log.ts';

export const resource = 'http://127.0.0.1:3001/sse';
export const otherResource = 'http://localhost:3001/mcp';
export const allScopes = 'openid profile email offline_access';

export interface Redirects {
  readonly uri: string;
  /** The targets that were asked for, path and query. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** A loopback listener such as a native app has (RFC 8252 7.3). */
export async function listenForRedirects(path = '/callback', host = '127.0.0.1'): Promise<Redirects> {
  const seen: string[] = [];
  const server = createServer((req, res) => {
    seen.push(req.url ?? '');
    res.setHeader('content-type', 'text/html');
    res.end('<!doctype html><title>back</title><h1>Back in the application</h1>');
  });
  await new Promise<void>((resolve) => server.listen(0, host, () => resolve()));
  return {
    uri: `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}${path}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

export interface World {
  readonly provider: DemoProvider;
  readonly stateDir: string;
  readonly redirects: Redirects;
  readonly lines: string[];
  close(): Promise<void>;
}

export async function openWorld(options: Partial<DemoProviderOptions> = {}): Promise<World> {
  const stateDir = options.stateDir ?? (await mkdtemp(join(tmpdir(), 'idp-')));
  const lines: string[] = [];
  const provider = await openDemoProvider({
    host: '127.0.0.1',
    port: 0,
    stateDir,
    resources: () => [resource, otherResource],
    log: createLog({ level: 'debug', write: (line) => lines.push(line) }),
    ...options,
  });
  const redirects = await listenForRedirects();
  return {
    provider,
    stateDir,
    redirects,
    lines,
    async close() {
      await provider.close();
      await redirects.close();
      if (!options.stateDir) await rm(stateDir, { recursive: true, force: true });
    },
  };
}

export const insecure = { execute: [oauth.allowInsecureRequests] };

/** Registers a public native client, as the product does. */
export function register(
  { provider, redirects }: Pick<World, 'provider' | 'redirects'>,
  metadata: Record<string, unknown> = {},
): Promise<oauth.Configuration> {
  return oauth.dynamicClientRegistration(
    new URL(provider.issuer),
    {
      client_name: 'A test client',
      redirect_uris: [redirects.uri],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      ...metadata,
    },
    metadata.token_endpoint_auth_method === 'client_secret_post' ? oauth.ClientSecretPost() : oauth.None(),
    insecure,
  );
}

export interface Request {
  readonly url: URL;
  /** Takes the answer and exchanges its code. */
  exchange(answer: string): ReturnType<typeof oauth.authorizationCodeGrant>;
}

/** An authorization request with everything that a careful client sends. */
export async function request(
  config: oauth.Configuration,
  parameters: Record<string, string>,
): Promise<Request> {
  const verifier = oauth.randomPKCECodeVerifier();
  const [state, nonce] = [oauth.randomState(), oauth.randomNonce()];
  const openid = (parameters.scope ?? '').split(' ').includes('openid');
  const url = oauth.buildAuthorizationUrl(config, {
    ...parameters,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    ...(openid ? { nonce } : {}),
  });
  return {
    url,
    exchange: (answer) =>
      oauth.authorizationCodeGrant(config, new URL(answer), {
        pkceCodeVerifier: verifier,
        expectedState: state,
        ...(openid ? { expectedNonce: nonce } : {}),
      }),
  };
}

/** The code of the error that a promise is rejected with: OAuth's `error`, else ours or the library's. */
export async function errorOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { error: oauthError, code } = error as { error?: string; code?: string };
    return oauthError ?? code ?? String(error);
  }
  throw new Error('it was not rejected');
}
