/** An authorization request as it came, and the origin and issuer that it came to. */
export interface Asked {
  readonly issuer: string;
  readonly parameters: URLSearchParams;
  readonly scopes: readonly string[];
}

/** What an access token is: a text that only the provider understands, or a JWT. */
export type TokenShape =
  | 'opaque'
  | {
      readonly typ?: 'JWT' | 'at+jwt';
      readonly claims: Readonly<Record<string, unknown>>;
      /** Signed for somebody else: nobody can verify it by the published keys (Entra ID's tokens for Graph). */
      readonly unverifiable?: boolean;
    };

export type MetadataForm = 'rfc8414 inserted' | 'rfc8414 appended' | 'openid appended';

/** One switch for each thing that providers do differently. What is left out is what most of them do. */
export interface Quirks {
  /** The issuer's path; default: none. `/` makes the issuer end in a slash. */
  readonly path?: string;
  /** Where the metadata is; default: OpenID's appended form. */
  readonly metadataAt?: readonly MetadataForm[];
  /** A plain OAuth server: no id token, no userinfo endpoint, no scopes to list. */
  readonly plainOAuth?: boolean;
  /** Authorization, token and userinfo endpoints are on another origin than the issuer. */
  readonly endpointsElsewhere?: boolean;
  /** So is the userinfo endpoint alone. */
  readonly userinfoElsewhere?: boolean;
  /** S256 works, and is not announced. */
  readonly hidesPkce?: boolean;
  readonly scopesSupported?: readonly string[];
  /** `none`: it has no registration endpoint. `refused`: it wants an administrator's token there. */
  readonly registration?: 'none' | 'refused';
  /** Between its page and its token endpoint it forgets a client that registered itself; once. */
  readonly forgetsOnce?: boolean;
  /** Redirect URIs of the client `given`; default: any. What does not fit ends on a page of the provider. */
  readonly redirectUris?: readonly string[];
  /** Where a registered redirect URI has no port, any will do; else all are compared exactly. */
  readonly anyPort?: boolean;
  /** The client `given` has this secret, and must send it. */
  readonly clientSecret?: string;
  /** A resource indicator ends in `invalid_target`, or on an error page that never redirects. Default: ignored. */
  readonly resource?: 'refused on the redirect' | 'refused on a page';
  /** Default: opaque. */
  accessToken?(asked: Asked): TokenShape;
  /** Whether a refresh token comes; default: always. */
  refreshes?(asked: Asked): boolean;
  /** Token answers carry no `expires_in`. */
  readonly tokensNeverEnd?: boolean;
  /** Token answers are form-encoded unless JSON is asked for. */
  readonly formAnswers?: boolean;
  /** Errors of the token endpoint come with HTTP 200. */
  readonly errorsWith200?: boolean;
  /** The origin is an MCP server too: `/mcp` answers 401 (revision 2025-03-26). */
  readonly isMcpServer?: boolean;
  /** What it tells of the person at the userinfo endpoint; default: `sub`, `name`, `email`. */
  readonly person?: Readonly<Record<string, unknown>>;
}

const offline = ({ scopes }: Asked) => scopes.includes('offline_access');
const openidScopes = ['openid', 'profile', 'email', 'offline_access'];

/** Keycloak: registers anybody, and makes JWTs that name no audience until a mapper is set up. */
export function keycloak(audience?: string | readonly string[]): Quirks {
  return {
    path: '/realms/demo',
    scopesSupported: openidScopes,
    anyPort: true,
    accessToken: ({ scopes, parameters }) => ({
      typ: 'JWT',
      claims: {
        typ: 'Bearer',
        azp: parameters.get('client_id'),
        scope: scopes.join(' '),
        ...(audience === undefined ? {} : { aud: audience }),
      },
    }),
  };
}

export const entraApi = 'api://5d9c6a7e-whoami';
export const entraApiId = '5d9c6a7e-0000-4000-8000-00000000c0de';

/** Entra ID v2.0: refuses `resource` on its own page; a token is for an API when the scope names that API. */
export const entra: Quirks = {
  path: '/11111111-2222-3333-4444-555555555555/v2.0',
  scopesSupported: openidScopes,
  registration: 'none',
  hidesPkce: true,
  userinfoElsewhere: true,
  redirectUris: ['http://localhost/callback'],
  anyPort: true,
  resource: 'refused on a page',
  refreshes: offline,
  accessToken({ scopes }) {
    if (!scopes.some((scope) => scope.startsWith(`${entraApi}/`))) {
      return { claims: { aud: '00000003-0000-0000-c000-000000000000', ver: '1.0' }, unverifiable: true };
    }
    return { typ: 'JWT', claims: { aud: entraApiId, ver: '2.0', scp: 'user_impersonation' } };
  },
};

/** Auth0: the issuer ends in a slash; a JWT only where `audience` names an API. */
export const auth0: Quirks = {
  path: '/',
  scopesSupported: openidScopes,
  registration: 'none',
  refreshes: offline,
  accessToken({ issuer, parameters, scopes }) {
    const audience = parameters.get('audience');
    if (audience === null) return 'opaque';
    const aud = [audience, `${issuer}userinfo`];
    return { typ: 'JWT', claims: { aud, azp: parameters.get('client_id'), scope: scopes.join(' ') } };
  },
};

/** Okta's organisation server: its tokens are its own affair. */
export const oktaOrganisation: Quirks = {
  metadataAt: ['rfc8414 inserted', 'openid appended'],
  scopesSupported: openidScopes,
  registration: 'refused',
  refreshes: offline,
};

/** Okta's custom server: JWTs for its one audience, scopes as an array in `scp`. */
export const oktaCustom: Quirks = {
  ...oktaOrganisation,
  path: '/oauth2/default',
  metadataAt: ['rfc8414 inserted', 'rfc8414 appended', 'openid appended'],
  accessToken: ({ scopes }) => ({ typ: 'JWT', claims: { aud: 'api://default', scp: scopes, cid: 'given' } }),
};

/** Google: a secret also from desktop clients, opaque tokens, a refresh token for `access_type=offline`. */
export const google: Quirks = {
  endpointsElsewhere: true,
  scopesSupported: ['openid', 'email', 'profile'],
  registration: 'none',
  redirectUris: ['http://127.0.0.1/callback'],
  anyPort: true,
  clientSecret: 'GOCSPX-not-a-secret',
  refreshes: ({ parameters }) => parameters.get('access_type') === 'offline',
};

/** Amazon Cognito: endpoints on the user pool's own domain, tokens that name a client and no audience. */
export function cognito(redirectUri: string): Quirks {
  return {
    path: '/us-east-1_Pool',
    endpointsElsewhere: true,
    hidesPkce: true,
    scopesSupported: ['openid', 'email', 'phone', 'profile'],
    registration: 'none',
    redirectUris: [redirectUri],
    accessToken: ({ parameters, scopes }) => ({
      typ: 'JWT',
      claims: { client_id: parameters.get('client_id'), token_use: 'access', scope: scopes.join(' ') },
    }),
  };
}

/** GitHub: OAuth 2.0 without metadata, with habits of its own. */
export const github: Quirks = {
  path: '/login/oauth',
  metadataAt: [],
  plainOAuth: true,
  registration: 'none',
  clientSecret: 'github-secret',
  refreshes: () => false,
  tokensNeverEnd: true,
  formAnswers: true,
  errorsWith200: true,
};

/** An MCP server of revision 2025-03-26 that is its own authorization server and publishes nothing. */
export const mcp20250326: Quirks = {
  metadataAt: [],
  plainOAuth: true,
  isMcpServer: true,
};

/** OAuth 2.1 with RFC 8414 metadata in its only form, and tokens bound to the resource asked for. */
export const rfc8414Only: Quirks = {
  path: '/tenant',
  metadataAt: ['rfc8414 inserted'],
  plainOAuth: true,
  accessToken: ({ parameters, scopes }) => ({
    typ: 'at+jwt',
    claims: {
      aud: parameters.get('resource'),
      client_id: parameters.get('client_id'),
      scope: scopes.join(' '),
    },
  }),
};
