import { display } from '../../lib/text.ts';
import type { Asked, AuthorizationRequest } from '../authorization-request.ts';
import type { Reach } from '../discovery/reach.ts';
import { judgeRedirect, refusedBy } from '../redirect/redirect.ts';
import { type DisplayIdentity, identify } from './identity.ts';
import { askForTokens, type Grant } from './oauth.ts';
import { lifetimeOf, type TokenSet } from './token-set.ts';

export interface Redeemed {
  readonly set: TokenSet;
  readonly identity: DisplayIdentity;
}

/**
 * Redeems an authorization response: checks it against its request, then exchanges the code for tokens.
 *
 * In: `again`, how to begin anew. Out: `client_forgotten` when the issuer no longer knows the client that we
 * registered there. Throws AppError `sign_in_denied`, `sign_in_failed`, `invalid_target`, `issuer_unreachable`.
 */
export async function redeem(
  reach: Reach,
  request: AuthorizationRequest,
  parameters: URLSearchParams,
  now: () => number,
  again: string,
): Promise<Redeemed | 'client_forgotten'> {
  judgeRedirect(parameters, request, again);
  const result = await exchange(reach, request, parameters);
  if ('refused' in result) {
    const { error, status, description } = result.refused;
    if (error === 'invalid_client' && request.client.dynamic) return 'client_forgotten';
    const { server, resource } = request;
    throw refusedBy(server.issuer, error ?? `status ${status}`, description, resource, again);
  }
  return settle(reach, { ...request, client: result.as }, result.granted, now());
}

/** What was granted, as it is kept, and who it is. */
export async function settle(reach: Reach, asked: Asked, grant: Grant, now: number): Promise<Redeemed> {
  return { set: tokenSetOf(asked, grant, now), identity: await identify(reach, asked, grant) };
}

function exchange(reach: Reach, request: AuthorizationRequest, parameters: URLSearchParams) {
  const { server, client, binding, nonce, state } = request;
  const verifier = request.verifier.reveal();
  const secrets = [parameters.get('code') ?? '', verifier, client.secret?.reveal() ?? ''];
  const answer = new URL(`${request.redirectUri}?${parameters}`);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  const resource: Record<string, string> = request.resource ? { resource: request.resource } : {};
  const asking = { reach, server, client, secrets, binding };
  return askForTokens(asking, async (library, configuration, recording, proof) => {
    const withNonce = nonce === undefined ? checks : { ...checks, expectedNonce: nonce };
    try {
      return await library.authorizationCodeGrant(configuration, answer, { ...withNonce }, resource, proof);
    } catch (error) {
      // Somebody who unticks `openid` at the provider gets tokens without an id token: no nonce to check.
      const json = recording.heard()?.json;
      if (nonce === undefined || !json?.access_token || json.id_token !== undefined) throw error;
      configuration[library.customFetch] = recording.replay as NonNullable<
        (typeof configuration)[typeof library.customFetch]
      >;
      return library.authorizationCodeGrant(configuration, answer, { ...checks }, resource, proof);
    }
  });
}

/** A grant as it is kept. In: `now` in milliseconds since the epoch. */
export function tokenSetOf(asked: Asked, grant: Grant, now: number): TokenSet {
  const { server, client, scope, resource, binding } = asked;
  return {
    accessToken: grant.accessToken,
    refreshToken: grant.refreshToken,
    scope: display(grant.scope ?? scope ?? '', 4096),
    receivedAt: now,
    lifetimeMs: lifetimeOf(grant.expiresIn),
    issuer: server.issuer,
    resource,
    client,
    tokenEndpoint: server.token_endpoint,
    revocationEndpoint: server.revocation_endpoint,
    idTokenAlgorithms: server.id_token_signing_alg_values_supported,
    boundTo: grant.bound ? binding?.prover.key : undefined,
    dead: false,
    signedInAt: now,
  };
}
