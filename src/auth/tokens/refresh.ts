import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { Reach } from '../discovery/reach.ts';
import type { Prover } from '../dpop/prover.ts';
import { askAsClient } from './client-grant.ts';
import { type Asking, askForTokens, type GrantResult, type Refusal } from './oauth.ts';
import { lifetimeOf, type TokenSet } from './token-set.ts';

/** The authorization server as far as a token set remembers it: enough to renew and to revoke. */
export function rememberedServer(set: TokenSet): AuthorizationServer {
  return {
    issuer: set.issuer,
    token_endpoint: set.tokenEndpoint,
    ...(set.revocationEndpoint ? { revocation_endpoint: set.revocationEndpoint } : {}),
    ...(set.idTokenAlgorithms ? { id_token_signing_alg_values_supported: [...set.idTokenAlgorithms] } : {}),
  };
}

/**
 * One renewal: a refresh (RFC 6749 6), or a new token for the client itself (4.4). What the answer leaves out stays
 * as it was: refresh token, scope.
 *
 * In: `again`, what to do when it stays so; `prover`, of the key that the set is bound to: the new tokens are, too.
 * Out: `refused` when the issuer will never renew this set again. Throws AppError `issuer_unreachable` (try again
 * later), `invalid_target`, `remote_error` (a refusal that is about the request, not about the token).
 */
export async function refresh(
  reach: Reach,
  set: TokenSet,
  now: () => number,
  again: string,
  prover?: Prover,
): Promise<TokenSet | { readonly refused: Refusal }> {
  const { client, clientGrant, resource } = set;
  const binding = prover && { prover, required: true };
  const asking = { reach, server: rememberedServer(set), client, binding };
  const result = await (clientGrant ? askAsClient(asking, resource, clientGrant) : askAgain(asking, set));
  if ('refused' in result) {
    if (isFinal(result.refused)) return result;
    throw unfinished(set, result.refused, again);
  }
  const { granted } = result;
  return {
    ...set,
    client: result.as,
    accessToken: granted.accessToken,
    refreshToken: clientGrant ? undefined : (granted.refreshToken ?? set.refreshToken),
    scope: granted.scope ?? set.scope,
    receivedAt: now(),
    lifetimeMs: lifetimeOf(granted.expiresIn),
    dead: false,
  };
}

function askAgain(
  asking: Omit<Asking, 'secrets'>,
  { refreshToken, resource }: TokenSet,
): Promise<GrantResult> {
  const token = refreshToken?.reveal() ?? '';
  const secrets = [token, asking.client.secret?.reveal() ?? ''];
  const parameters: Record<string, string> = resource ? { resource } : {};
  return askForTokens({ ...asking, secrets }, (library, configuration, _recording, proof) =>
    library.refreshTokenGrant(configuration, token, parameters, proof),
  );
}

const finalErrors = [
  'invalid_grant',
  'invalid_client',
  'unauthorized_client',
  // GitHub's names for the first two.
  'bad_refresh_token',
  'incorrect_client_credentials',
];

/** The token, or the client, is no more. A 400 or 401 without JSON is what some servers say for that. */
function isFinal({ error, status }: Refusal): boolean {
  if (error === undefined) return status === 400 || status === 401;
  return finalErrors.includes(error);
}

function unfinished(
  { issuer, resource }: TokenSet,
  { error, status, description }: Refusal,
  again: string,
): AppError {
  const said = description ? `: ${description}` : '';
  const what = `${display(issuer)} did not renew the access token (${display(error ?? `status ${status}`, 80)}${said})`;
  if (error === 'invalid_target') {
    return new AppError('invalid_target', what, {
      hint: `register ${display(resource ?? 'the URL', 200)} as an API resource at the provider, or sign in with --resource none`,
    });
  }
  if (error === 'invalid_dpop_proof') {
    const hint = `set the clock of this machine right; if it stays so, ${again}`;
    return new AppError('remote_error', what, { hint });
  }
  const code = ['temporarily_unavailable', 'server_error', 'slow_down'].includes(error ?? '')
    ? 'issuer_unreachable'
    : 'remote_error';
  return new AppError(code, what, { hint: `try again later; if it stays so, ${again}` });
}
