import { AppError } from '../lib/errors.ts';

type Documents = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

/**
 * How the authorization server reads what a client points to (client id metadata documents, `jwks_uri`): the
 * documents known here, else the network, but only with the guard that the protocol library puts into the
 * request against addresses of this machine and of private networks (draft-ietf-oauth-client-id-metadata-document,
 * Server Side Request Forgery).
 */
export function createDocumentFetch(documents: Documents): Fetch {
  return async (input, init) => {
    const url = String(input instanceof Request ? input.url : input);
    if (Object.hasOwn(documents, url)) return Response.json(documents[url]);
    if (!(init as { dispatcher?: unknown } | undefined)?.dispatcher) {
      throw new AppError('insecure_url', 'nothing is fetched without the guard against private addresses');
    }
    return fetch(url, { ...init, redirect: 'manual' });
  };
}
