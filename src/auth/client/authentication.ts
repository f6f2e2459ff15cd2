import type * as Library from 'openid-client';
import type { Client, KeyReference } from './client.ts';
import { algorithmFor, importForSigning, readClientKey } from './client-key.ts';

/**
 * How `client` proves itself in one request (RFC 6749 2.3.1, RFC 7523 2.2).
 *
 * In: `again`: the URL of the endpoint that refused the first way. Servers disagree on how Basic is encoded, and
 * on whether an assertion is meant for the issuer or for the endpoint; the second way is the other reading. The
 * endpoint named in an assertion is the very one that gets it, so that it proves nothing anywhere else. The key
 * is read from its file each time: one that was replaced is used from then on.
 */
export function clientAuthentication(
  library: typeof Library,
  { id, secret, authMethod, key }: Client,
  again: string | undefined,
): Library.ClientAuth {
  if (key && authMethod === 'private_key_jwt') return byAssertion(library, key, again);
  if (!secret || authMethod === 'none') return library.None();
  if (authMethod === 'client_secret_post') return library.ClientSecretPost(secret.reveal());
  if (again === undefined) return library.ClientSecretBasic(secret.reveal());
  const credentials = Buffer.from(`${id}:${secret.reveal()}`).toString('base64');
  return (_server, _client, _body, headers) => headers.set('authorization', `Basic ${credentials}`);
}

/** Whether a server that refused the client may only have wanted the second way. */
export function hasSecondWay({ id, secret, authMethod }: Client): boolean {
  if (authMethod === 'private_key_jwt') return true;
  // RFC 6749 2.3.1 has id and secret percent-encoded before Basic; many servers do not decode them.
  return authMethod === 'client_secret_basic' && /[^A-Za-z0-9]/.test(id + (secret?.reveal() ?? ''));
}

function byAssertion(
  library: typeof Library,
  { file, algorithm }: KeyReference,
  audience: string | undefined,
): Library.ClientAuth {
  return async (...request) => {
    const key = await readClientKey(file);
    // A key of another kind may be in that file by now.
    const alg = algorithmFor(key, [algorithm]) ?? key.algorithms[0] ?? algorithm;
    const modify: Library.ModifyAssertionFunction = (header, payload) => {
      Object.assign(header, key.names, { alg });
      if (audience !== undefined) payload.aud = audience;
    };
    const signing = await importForSigning(key, alg);
    await library.PrivateKeyJwt(signing, { [library.modifyAssertion]: modify })(...request);
  };
}
