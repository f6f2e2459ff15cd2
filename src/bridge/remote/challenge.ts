import { display } from '../../lib/text.ts';

export interface BearerChallenge {
  readonly error: string | undefined;
  readonly scope: string | undefined;
}

/** Longer headers are not looked at further. Characters. */
const longest = 8192;

// One token at a time, each branch beginning with another character: linear, whatever the server sends.
const token = /\s*(?:(,)|([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?|.)/gsy;

/**
 * The `error` and `scope` of the Bearer challenge in a `WWW-Authenticate` header (RFC 9110 11.6.1, RFC 6750 3):
 * of several challenges the Bearer one, and never words inside a quoted text.
 */
export function bearerChallenge(header: string | undefined): BearerChallenge | undefined {
  let scheme: string | undefined;
  const found = new Map<string, string>();
  for (const [, , name, quoted, plain] of (header ?? '').slice(0, longest).matchAll(token)) {
    if (name === undefined) continue;
    const value = quoted?.replace(/\\(.)/gs, '$1') ?? plain;
    if (value === undefined) scheme = name.toLowerCase();
    else if (scheme === 'bearer' && !found.has(name.toLowerCase())) found.set(name.toLowerCase(), value);
  }
  if (found.size === 0) return undefined;
  const scope = found.get('scope');
  // RFC 6749 3.3: other characters are no scope, and the text is shown to a person and to a model.
  const isScope = scope !== undefined && /^[\x21\x23-\x5b\x5d-\x7e ]{1,500}$/.test(scope);
  return { error: found.get('error'), scope: isScope ? display(scope, 500) : undefined };
}
