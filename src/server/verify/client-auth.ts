import type { ClientCredentials } from '../../lib/settings.ts';

/** One form in which a client proves itself at an endpoint (RFC 6749 2.3.1). */
export interface ClientAuthentication {
  readonly name: 'client_secret_post' | 'client_secret_basic' | 'raw client_secret_basic';
  readonly headers: Readonly<Record<string, string>>;
  /** Goes into the form beside the endpoint's own parameters. */
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * The forms to try, the best first.
 *
 * In: the credentials, and the methods that the metadata names; none named: every one may work. Post needs no
 * escaping and comes first where it is named. Basic is tried with both parts form-encoded, as RFC 6749 has it, and
 * then, where that makes a difference, as they are: glewlwyd and others do not decode them.
 */
export function waysToAuthenticate(
  { id, secret }: ClientCredentials,
  named: readonly string[],
): readonly ClientAuthentication[] {
  const password = secret.reveal();
  const post: ClientAuthentication = {
    name: 'client_secret_post',
    headers: {},
    parameters: { client_id: id, client_secret: password },
  };
  const encoded = basic('client_secret_basic', formEncode(id), formEncode(password));
  const raw = basic('raw client_secret_basic', id, password);
  const basics = encoded.headers.authorization === raw.headers.authorization ? [encoded] : [encoded, raw];
  const byPost = named.includes('client_secret_post');
  const byBasic = named.includes('client_secret_basic');
  if (byPost) return byBasic ? [post, ...basics] : [post];
  return byBasic ? basics : [...basics, post];
}

function basic(name: ClientAuthentication['name'], id: string, password: string): ClientAuthentication {
  const credentials = Buffer.from(`${id}:${password}`, 'utf8').toString('base64');
  return { name, headers: { authorization: `Basic ${credentials}` }, parameters: {} };
}

/** As a form's value (RFC 6749 B). `-`, `_`, `.` and `*` stay, which servers that do not decode depend on. */
function formEncode(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}
