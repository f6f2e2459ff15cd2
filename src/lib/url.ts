import { AppError } from './errors.ts';
import { display } from './text.ts';

/** Host names that are this machine by definition (RFC 6761 6.3, RFC 8252 7.3). */
export function isLoopbackHost(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    hostname === '::1' ||
    /^127(\.\d{1,3}){3}$/.test(hostname)
  );
}

export interface UrlPolicy {
  /** Origins that may use plain http although they are not loopback (`--allow-http`). */
  readonly allowHttp?: readonly string[];
}

/**
 * Parses a URL that we may send something to: https, or http to loopback (MCP authorization, Communication
 * Security) or to an origin that the user named. No user part (it disguises the host), no fragment.
 *
 * In: the text and what it is, for the message. Throws AppError `insecure_url`.
 */
export function secureUrl(text: string, what: string, policy: UrlPolicy = {}): URL {
  const refuse = (why: string, hint?: string) =>
    new AppError('insecure_url', `${what} ${why}: ${display(text, 200)}`, { hint });
  if (/[\u0000-\u0020\u007f-\u009f"<>\\^`{|}]/.test(text))
    throw refuse('has characters that no URL may have');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse('is no URL');
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refuse('is neither https nor http');
  if (url.username || url.password) throw refuse('carries a user name, which hides the real host');
  if (url.hash) throw refuse('has a fragment');
  const plainAllowed = isLoopbackHost(url.hostname) || policy.allowHttp?.includes(url.origin);
  if (url.protocol === 'http:' && !plainAllowed) {
    throw refuse(
      'is plain http to another machine',
      `use https, or --allow-http ${url.origin} on a network you trust`,
    );
  }
  return url;
}

/**
 * The resource identifier of an MCP server (RFC 8707 2, MCP authorization "canonical server URI"): lower-case
 * scheme and host, no default port, no fragment, no slash after a bare origin.
 */
export function canonicalResource(url: URL): string {
  const copy = new URL(url.href);
  copy.hash = '';
  return copy.pathname === '/' && copy.search === '' ? copy.origin : copy.href;
}

/** Inserts a well-known name between host and path (RFC 8414 3.1, RFC 9728 3.1); the query is kept. */
export function wellKnown(url: URL, name: string): URL {
  const path = url.pathname === '/' ? '' : url.pathname.replace(/\/$/, '');
  return new URL(`/.well-known/${name}${path}${url.search}`, url.origin);
}
