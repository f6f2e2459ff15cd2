import { AppError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { display } from '../../lib/text.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import type { KeyReference } from './client.ts';
import { algorithmFor, type ClientKey, readClientKey } from './client-key.ts';

/**
 * Settles, before anything is sent, that the key in `file` can prove a client to this server, and by which
 * algorithm (RFC 8414 2, `token_endpoint_auth_signing_alg_values_supported`).
 *
 * Throws AppError `sign_in_failed`: those of `readClientKey`, and a key that the server takes no signature of.
 */
export async function keyReferenceFor(
  file: string,
  server: AuthorizationServer,
  log: Log,
): Promise<KeyReference> {
  const key = await readClientKey(file);
  if (key.exposed) log.warn(`others on this machine can read the client key: chmod 600 ${file}`);
  const methods = server.token_endpoint_auth_methods_supported;
  if (methods && !methods.includes('private_key_jwt')) {
    log.warn('the authorization server does not list private_key_jwt', {
      issuer: server.issuer,
      lists: methods.join(' '),
    });
  }
  return { file, algorithm: agreedAlgorithm(key, server) };
}

function agreedAlgorithm(key: ClientKey, server: AuthorizationServer): string {
  const listed = server.token_endpoint_auth_signing_alg_values_supported;
  const agreed = algorithmFor(key, listed?.length ? listed : undefined);
  if (agreed !== undefined) return agreed;
  const [can, takes] = [key.algorithms, listed ?? []].map((names) => display(names.join(', '), 120));
  throw new AppError(
    'sign_in_failed',
    `the client key ${display(key.file)} signs with ${can}; ${display(server.issuer)} takes ${takes}`,
    {
      hint: 'make a key of another kind, register its public half at the provider, and name it with --client-key',
    },
  );
}
