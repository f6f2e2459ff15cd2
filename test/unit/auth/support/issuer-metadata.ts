import type { Behaviour } from './behaviour.ts';

/** What an honest authorization server says of itself (RFC 8414). */
export function metadataOf(issuer: string, algorithm: string, behaviour: Behaviour) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/register`,
    ...(behaviour.device ? { device_authorization_endpoint: `${issuer}/device_authorization` } : {}),
    revocation_endpoint: `${issuer}/revoke`,
    userinfo_endpoint: `${issuer}/userinfo`,
    pushed_authorization_request_endpoint: `${issuer}/par`,
    ...(behaviour.pushedOnly ? { require_pushed_authorization_requests: true } : {}),
    scopes_supported: ['openid', 'profile', 'offline_access'],
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic'],
    id_token_signing_alg_values_supported: [algorithm],
    authorization_response_iss_parameter_supported: true,
  };
}
