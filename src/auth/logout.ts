import { asAppError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import { display } from '../lib/text.ts';
import { otherWaysOf } from './client/authentication.ts';
import type { Client } from './client/client.ts';
import { createReach, type Reach } from './discovery/reach.ts';
import type { SignInEdges } from './edges.ts';
import { recordingFetch } from './tokens/fetch.ts';
import { appErrorIn, configure, isUnknownClient, loadLibrary } from './tokens/oauth.ts';
import { rememberedServer } from './tokens/refresh.ts';
import type { TokenSet } from './tokens/token-set.ts';
import { openTokenStore, type TokenStore, type Whose } from './tokens/token-store.ts';
import { basicCredentialsOf, without } from './tokens/without.ts';

export interface LoggedOut {
  /** False: nobody was signed in, nothing was done. */
  readonly wasSignedIn: boolean;
  /** The issuer has taken back what keeps the sign-in alive: the refresh token, else the access token. */
  readonly revoked: boolean;
  /** Why it may still honour a token. */
  readonly warning?: string | undefined;
}

/**
 * Signs out of one server: revokes where the issuer can (RFC 7009, the refresh token first), then forgets.
 *
 * Tokens are forgotten whatever the issuer says. Throws AppError only where they cannot be: `keychain_locked`,
 * `keychain_unavailable`, `vault_failed`, `lock_timeout`.
 */
export async function logout(edges: SignInEdges, whose: Whose): Promise<LoggedOut> {
  const store = openTokenStore(edges, whose);
  return store.alone(async () => {
    const known = await edges.index.get(store.key);
    const { set, problem } = await load(store);
    const failure = set ? await revoke(edges, whose, set) : problem;
    await store.forget();
    if (!set && !known) return { wasSignedIn: false, revoked: false };
    if (set && failure === undefined) return { wasSignedIn: true, revoked: true };
    return { wasSignedIn: true, revoked: false, warning: mayStill(failure, set?.issuer ?? known?.issuer) };
  });
}

/** What cannot be read can still be forgotten. */
async function load(store: TokenStore): Promise<{ set?: TokenSet | undefined; problem?: string }> {
  try {
    return { set: await store.load() };
  } catch (error) {
    return { problem: asAppError(error).message };
  }
}

const mayStill = (why: string | undefined, issuer = 'the authorization server') =>
  `${display(issuer)} may still honour the tokens: ${why ?? 'they could not be revoked'}`;

/** Out: undefined when done, else why not. */
async function revoke(edges: SignInEdges, whose: Whose, set: TokenSet): Promise<string | undefined> {
  if (set.revocationEndpoint === undefined) return 'it offers no revocation';
  // Checked when the tokens were received; what was allowed then is not known here.
  const allowed = { allowHttp: [new URL(set.revocationEndpoint).origin], allowPrivateNetwork: true };
  const reach = createReach(edges.http, { server: whose.server, ...allowed });
  const tokens = [set.refreshToken, set.accessToken].filter((token) => token !== undefined);
  const outcomes: (string | undefined)[] = [];
  for (const token of tokens) outcomes.push(await revokeOne(reach, set, token));
  edges.log.debug('revocation', { issuer: set.issuer, outcomes: outcomes.map((why) => why ?? 'done') });
  // An access token that is a JWT often cannot be revoked: it ends by itself soon (RFC 7009 2.2.1).
  return outcomes[0];
}

async function revokeOne(
  reach: Reach,
  set: TokenSet,
  token: Secret,
  [client = set.client, ...others]: readonly Client[] = [set.client, ...otherWaysOf(set.client)],
): Promise<string | undefined> {
  const hint = token === set.refreshToken ? 'refresh_token' : 'access_token';
  const server = rememberedServer(set);
  const recording = recordingFetch(reach, set.issuer);
  try {
    const library = await loadLibrary();
    const configuration = configure(library, { reach, server, client }, recording, set.revocationEndpoint);
    await library.tokenRevocation(configuration, token.reveal(), { token_type_hint: hint });
    return undefined;
  } catch (thrown) {
    const ours = appErrorIn(thrown);
    if (ours) return ours.message;
    const heard = recording.heard();
    const said = heard?.json?.error;
    const error = typeof said === 'string' ? said : undefined;
    if (others.length > 0 && heard && isUnknownClient({ status: heard.status, error })) {
      return revokeOne(reach, set, token, others);
    }
    const secrets = [token.reveal(), client.secret?.reveal() ?? '', ...basicCredentialsOf(client)];
    return `it answered ${display(error !== undefined ? without(error, secrets) : `status ${heard?.status}`, 80)}`;
  }
}
