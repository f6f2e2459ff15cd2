import type { IncomingHttpHeaders } from 'node:http';

/** Longest token that is looked at. Bytes; it may only have ASCII characters. */
export const maxTokenLength = 8 * 1024;

/** What the request presents as credentials (RFC 6750 2.1). */
export type Credentials =
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly why: string }
  | { readonly kind: 'conflicting' };

const none: Credentials = { kind: 'none' };
const conflicting: Credentials = { kind: 'conflicting' };

/**
 * Reads the Authorization header; a token in the query or in the body is never read, and beside the header it
 * makes the request ambiguous.
 *
 * In: the headers, whether there is more than one Authorization header, the query.
 */
export function credentialsOf(headers: IncomingHttpHeaders, repeated: boolean, query: string): Credentials {
  const value = headers.authorization;
  if (value === undefined) return none;
  if (repeated || /(?:^|&)access_token=/.test(query)) return conflicting;
  if (!/^bearer(?: |$)/i.test(value)) return none;
  const token = tokenIn(value);
  if (token.length > maxTokenLength) return { kind: 'malformed', why: 'The access token is too long' };
  if (!/^[\w\-.~+/]+=*$/.test(token)) return { kind: 'malformed', why: 'The access token is malformed' };
  return { kind: 'token', token };
}

/** The token in an Authorization header that `credentialsOf` has found one in. */
export function tokenIn(authorization: string | null | undefined): string {
  return authorization?.slice('bearer '.length).trim() ?? '';
}
