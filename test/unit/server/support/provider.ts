import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { Secret } from '../../../../src/lib/secret.ts';
import type { ClientCredentials } from '../../../../src/lib/settings.ts';

export interface Minted {
  readonly sub?: string | undefined;
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  /** Members to leave out of the token. */
  readonly without?: readonly string[];
  readonly key?: SigningKey;
}

export interface SigningKey {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function makeKey(kid: string | undefined, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), alg, use: 'sig' };
  if (kid !== undefined) jwk.kid = kid;
  return { privateKey, jwk };
}

type Behaviour = (req: IncomingMessage, res: ServerResponse) => void;

/** An authorization server that does what a test tells it, on loopback, and counts what it is asked. */
export interface TestProvider {
  readonly origin: string;
  readonly issuer: string;
  readonly port: number;
  metadata: Record<string, unknown>;
  keys: JWK[];
  /** Instead of the usual answer, for one route: `discovery`, `jwks`, `userinfo`, `introspection`; `all` for every one. */
  readonly instead: Map<string, Behaviour>;
  readonly counts: Record<string, number>;
  /** The client that may introspect; an id and a secret that Basic has to escape. */
  readonly client: ClientCredentials;
  /** The forms of client authentication that the introspection endpoint takes. */
  takes: readonly ('post' | 'basic' | 'raw basic')[];
  /** What the introspection endpoint was sent, the newest last. */
  readonly introspected: { readonly form: URLSearchParams; readonly authorization: string | undefined }[];
  jwt(options?: Minted): Promise<string>;
  /** A token for userinfo, and for introspection what it says of it beside `active`, `sub` and the usual. */
  opaque(sub: string, claims?: Record<string, unknown>, told?: Record<string, unknown>): string;
  revoke(token: string): void;
  close(): Promise<void>;
}

export interface TestProviderOptions {
  readonly port?: number;
  readonly path?: string;
  readonly audience?: string;
}

const key = makeKey('first');

export async function openTestProvider(options: TestProviderOptions = {}): Promise<TestProvider> {
  const path = options.path ?? '/oidc';
  const tokens = new Map<string, Record<string, unknown>>();
  const told = new Map<string, Record<string, unknown>>();
  const counts: Record<string, number> = { discovery: 0, jwks: 0, userinfo: 0, introspection: 0, other: 0 };
  const instead = new Map<string, Behaviour>();
  const first = await key;
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://x');
    const route = url.pathname.includes('/.well-known/')
      ? 'discovery'
      : ({
          [`${path}/jwks`]: 'jwks',
          [`${path}/me`]: 'userinfo',
          [`${path}/introspect`]: 'introspection',
        }[url.pathname] ?? 'other');
    counts[route] = (counts[route] ?? 0) + 1;
    const other = instead.get(route) ?? instead.get('all');
    if (other) return other(req, res);
    if (route === 'discovery') {
      const known = [
        `${path}/.well-known/openid-configuration`,
        `/.well-known/oauth-authorization-server${path}`,
      ];
      return known.includes(url.pathname) ? json(res, 200, provider.metadata) : json(res, 404, {});
    }
    if (route === 'jwks') return json(res, 200, { keys: provider.keys });
    if (route === 'introspection') return void introspect(req, res);
    if (route !== 'userinfo') return json(res, 404, {});
    const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1] ?? '';
    const claims = tokens.get(token);
    return claims ? json(res, 200, claims) : json(res, 401, { error: 'invalid_token' });
  });
  async function introspect(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await text(req));
    const { authorization } = req.headers;
    provider.introspected.push({ form, authorization });
    if (!provider.takes.some((how) => proves(how, provider.client, form, authorization))) {
      return json(res, 401, { error: 'invalid_client' });
    }
    const answer = told.get(form.get('token') ?? '');
    json(res, 200, answer ? { active: true, ...answer } : { active: false });
  }
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}${path}`;
  const provider: TestProvider = {
    origin,
    issuer,
    port,
    metadata: {
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      userinfo_endpoint: `${issuer}/me`,
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      code_challenge_methods_supported: ['S256'],
    },
    keys: [first.jwk],
    instead,
    counts,
    client: { id: 'resource server', secret: new Secret('s:e+c%r t') },
    takes: ['post', 'basic'],
    introspected: [],
    async jwt({ sub = 'alice', claims = {}, header = {}, without = [], key: other } = {}) {
      const now = Math.floor(Date.now() / 1000);
      const { privateKey, jwk } = other ?? first;
      const all: Record<string, unknown> = {
        iss: issuer,
        sub,
        aud: options.audience ?? 'http://localhost/unset',
        exp: now + 3600,
        iat: now,
        jti: randomBytes(8).toString('hex'),
        scope: 'openid profile email',
        client_id: 'test-client',
        name: `User ${sub}`,
        email: `${sub}@example.com`,
        ...claims,
      };
      for (const name of without) delete all[name];
      const wanted = { typ: 'at+jwt', kid: jwk.kid, ...header };
      const present = Object.entries(wanted).filter(([, value]) => value !== undefined);
      const protectedHeader = { alg: jwk.alg ?? 'ES256', ...Object.fromEntries(present) };
      const token = await new SignJWT(all).setProtectedHeader(protectedHeader).sign(privateKey);
      tokens.set(token, { sub, name: `User ${sub}` });
      told.set(token, { ...all, token_type: 'Bearer' });
      return token;
    },
    opaque(sub, claims = {}, more = {}) {
      const token = `op_${createHash('sha256').update(randomBytes(16)).digest('base64url')}`;
      tokens.set(token, { sub, name: `User ${sub}`, email: `${sub}@example.com`, ...claims });
      const usual = { sub, scope: 'openid profile email', client_id: 'test-client', token_type: 'Bearer' };
      told.set(token, { ...usual, ...more });
      return token;
    },
    revoke(token) {
      tokens.delete(token);
      told.delete(token);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return provider;
}

/** Whether a request to the introspection endpoint carries the client's credentials in this form. */
function proves(
  how: TestProvider['takes'][number],
  { id, secret }: ClientCredentials,
  form: URLSearchParams,
  authorization: string | undefined,
): boolean {
  const password = secret.reveal();
  if (how === 'post') return form.get('client_id') === id && form.get('client_secret') === password;
  const [name, key] = Buffer.from(authorization?.slice(6) ?? '', 'base64')
    .toString()
    .split(/:(.*)/s);
  const read = (part = '') => (how === 'basic' ? [...new URLSearchParams(`${part}=`).keys()][0] : part);
  return read(name) === id && read(key) === password;
}

export function json(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}
