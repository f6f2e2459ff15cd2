import { generateKeyPairSync } from 'node:crypto';

export interface GlewlwydOptions {
  /** Resource indicators that it knows; it compares them exactly. */
  readonly resources?: readonly string[];
  /** Redirect URIs of its two clients; it compares them exactly, port and all. */
  readonly redirectUris?: readonly string[];
  /** How long access tokens live. Seconds; default 3600. */
  readonly accessTokenSeconds?: number;
}

export const people = { username: 'alice', password: 'alice-password' } as const;
export const publicClient = 'mcp-whoami-native';
export const confidentialClient = { id: 'mcp-whoami-confidential', secret: 'confidential-secret' } as const;
/** The client of the protected resource, for introspection. */
export const resourceServer = { id: 'mcp-whoami-server', secret: 'server-secret' } as const;

/** The account that the package's own SQL makes. The server is on loopback only, for the time of a test. */
const administrator = { username: 'admin', password: 'password' };
const scopes = ['profile', 'email', 'offline_access'];

/** The admin API of a glewlwyd, signed in. */
export interface Admin {
  call(method: string, path: string, body?: unknown): Promise<Response>;
}

export async function openAdmin(origin: string): Promise<Admin> {
  let cookie = '';
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(`${origin}/api/${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...(cookie ? { cookie } : {}) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    for (const line of response.headers.getSetCookie()) cookie = line.split(';')[0] ?? '';
    return response;
  };
  await call('POST', 'auth/', administrator);
  return { call };
}

/** Sets up a fresh glewlwyd: an issuer with a path, one person, three clients, open registration. */
export async function configure(admin: Admin, origin: string, options: GlewlwydOptions): Promise<void> {
  for (const name of scopes) {
    const scope = { name, display_name: name, description: name, password_required: true, scheme: {} };
    await admin.call('POST', 'scope/', scope);
  }
  await admin.call('POST', 'mod/plugin/', {
    module: 'oidc',
    name: 'oidc',
    display_name: 'OpenID Connect',
    parameters: { ...pluginParameters(options), iss: `${origin}/api/oidc` },
  });
  await admin.call('POST', 'user/', {
    ...people,
    name: 'Alice Example',
    email: 'alice@example.test',
    enabled: true,
    scope: ['g_profile', 'openid', ...scopes],
  });
  const client = { enabled: true, scope: [], redirect_uri: options.redirectUris ?? [] };
  const grants = ['code', 'refresh_token', 'device_authorization', 'delete_token'];
  await admin.call('POST', 'client/', {
    ...client,
    client_id: publicClient,
    name: 'mcp-whoami',
    confidential: false,
    authorization_type: grants,
  });
  for (const { id, secret } of [confidentialClient, resourceServer]) {
    await admin.call('POST', 'client/', {
      ...client,
      client_id: id,
      name: id,
      confidential: true,
      client_secret: secret,
      authorization_type: [...grants, 'client_credentials'],
      token_endpoint_auth_method: ['client_secret_basic', 'client_secret_post'],
      scope: ['openid'],
    });
  }
}

function pluginParameters({ resources = [], accessTokenSeconds = 3600 }: GlewlwydOptions) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return {
    'oauth-as-iss-id': true,
    'jwt-type': 'rsa',
    'jwt-key-size': '256',
    key: privateKey,
    cert: publicKey,
    'jwks-show': true,
    'access-token-duration': accessTokenSeconds,
    'refresh-token-duration': 1_209_600,
    'code-duration': 60,
    'refresh-token-rolling': true,
    'refresh-token-one-use': 'always',
    'allow-non-oidc': true,
    'auth-type-code-enabled': true,
    'auth-type-code-revoke-replayed': true,
    'auth-type-token-enabled': false,
    'auth-type-id-token-enabled': true,
    'auth-type-none-enabled': false,
    'auth-type-password-enabled': false,
    'auth-type-client-enabled': true,
    'auth-type-device-enabled': true,
    'device-authorization-expiration': 600,
    'device-authorization-interval': 2,
    'auth-type-refresh-enabled': true,
    'pkce-allowed': true,
    'pkce-method-plain-allowed': false,
    'pkce-required': true,
    'allowed-scope': ['openid', ...scopes],
    'subject-type': 'public',
    'name-claim': 'on-demand',
    'name-claim-scope': ['profile'],
    'email-claim': 'on-demand',
    'email-claim-scope': ['email'],
    'scope-claim': 'no',
    'introspection-revocation-allowed': true,
    'introspection-revocation-auth-scope': [],
    'introspection-revocation-allow-target-client': true,
    'register-client-allowed': true,
    'register-client-auth-scope': [],
    'register-client-credentials-scope': [],
    'register-client-management-allowed': true,
    'register-resource-specify-allowed': false,
    'register-resource-default': [],
    'register-default-properties': {},
    'session-management-allowed': false,
    'resource-allowed': true,
    'resource-scope': { openid: resources },
    'resource-client-property': 'resource',
    'resource-scope-and-client-property': false,
  };
}
