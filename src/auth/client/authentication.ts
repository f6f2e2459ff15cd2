import type * as Library from 'openid-client';
import type { Client, KeyReference } from './client.ts';
import { algorithmFor, importForSigning, readClientKey } from './client-key.ts';

/**
 * How `client` proves itself in one request (RFC 6749 2.3.1, RFC 7523 2.2).
 *
 * In: `endpoint`: where the request goes. The key is read from its file each time: one that was replaced is used
 * from then on.
 */
export function clientAuthentication(
  library: typeof Library,
  { id, secret, authMethod, key, reading }: Client,
  endpoint: string | undefined,
): Library.ClientAuth {
  // An assertion that names an endpoint goes to that very one: it proves nothing anywhere else.
  if (key) return byAssertion(library, key, reading === 'endpoint' ? endpoint : undefined);
  if (!secret || authMethod === 'none') return library.None();
  if (authMethod === 'client_secret_post') return library.ClientSecretPost(secret.reveal());
  if (reading !== 'raw') return library.ClientSecretBasic(secret.reveal());
  const credentials = Buffer.from(`${id}:${secret.reveal()}`).toString('base64');
  return (_server, _client, _body, headers) => headers.set('authorization', `Basic ${credentials}`);
}

/**
 * The other ways in which `client` may prove itself to a server that refused it, each for one that refused the way
 * before: servers disagree on how Basic is encoded, and on whom an assertion is meant for; and one that lists both
 * ways of sending a secret may still take only one from this client, which nobody but it knows.
 */
export function otherWaysOf(client: Client): readonly Client[] {
  const { id, secret, authMethod, key, dynamic, reading } = client;
  if (key) return [{ ...client, reading: reading ? undefined : 'endpoint' }];
  if (!secret || authMethod === 'none') return [];
  const basic: Client = { ...client, authMethod: 'client_secret_basic', reading: undefined };
  const encodes = /[^A-Za-z0-9]/.test(id + secret.reveal());
  const basics = encodes ? [basic, { ...basic, reading: 'raw' as const }] : [basic];
  if (authMethod === 'client_secret_post') return dynamic ? [] : basics;
  return basics.filter((way) => way.reading !== reading);
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
