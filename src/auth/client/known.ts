import { randomBytes } from 'node:crypto';
import { asAppError } from '../../lib/errors.ts';
import type { AuthorizationRequest } from '../authorization-request.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import { exchangeWith, type Reach } from '../discovery/reach.ts';
import { askForTokens } from '../tokens/oauth.ts';
import type { Client } from './client.ts';

/** A browser that is not opened for longer than this would be noticed. Milliseconds. */
const patienceMs = 3_000;

/**
 * Whether the token endpoint knows a client. It is asked with a refresh token that cannot exist: a server that
 * still knows the client finds fault with that. One that breaks down over such a token has told nothing.
 */
export async function isKnown(reach: Reach, server: AuthorizationServer, client: Client): Promise<boolean> {
  const unknown = randomBytes(32).toString('base64url');
  const asking = { reach, server, client, secrets: [unknown] };
  try {
    const answer = await askForTokens(asking, (library, configuration) =>
      library.refreshTokenGrant(configuration, unknown),
    );
    return !('refused' in answer && answer.refused.error === 'invalid_client');
  } catch (error) {
    if (asAppError(error).code === 'issuer_unreachable') return true;
    throw error;
  }
}

/**
 * Whether the authorization endpoint lets a request in, for servers whose token endpoint looks at the token first.
 * A client that it does not know ends on a page there and never comes back (RFC 6749 4.1.2.1); a browser would
 * wait on it. Asked with `prompt=none`, so that nothing is begun for anybody. No answer has told nothing.
 */
export async function isLetIn(reach: Reach, { url, pushed }: AuthorizationRequest): Promise<boolean> {
  if (pushed) return true;
  const quiet = new URL(url);
  quiet.searchParams.set('prompt', 'none');
  try {
    const options = { headers: { accept: 'text/html' }, totalTimeoutMs: patienceMs };
    const { status } = await exchangeWith(reach, quiet.href, 'the authorization endpoint', options);
    return status < 400 || status === 429 || status >= 500;
  } catch {
    return !reach.signal?.aborted;
  }
}
