import { isObject, type JsonObject, nestsDeeperThan } from './json.ts';

/** A compact JWS taken apart, not verified: good for choosing how to verify it, and for nothing else. */
export interface UnverifiedJwt {
  readonly header: JsonObject;
  readonly payload: JsonObject;
}

/** `undefined` when the token is no JWT: an opaque one, whatever dots it has. */
export function decodeJwt(token: string): UnverifiedJwt | undefined {
  const parts = token.split('.');
  if (parts.length !== 3 || !parts[2]) return undefined;
  const header = decodePart(parts[0]);
  const payload = decodePart(parts[1]);
  return header && payload && { header, payload };
}

/**
 * Whether a token begins as a signed JWT does and is none: cut off, or with something at its end. A parser that is
 * less strict may take it for one. In: a token whose first part names an algorithm (RFC 7515 4.1.1); what is encrypted
 * (`enc`, RFC 7516 4.1.2) says nothing to us, and is opaque.
 */
export function isMangledJwt(token: string): boolean {
  const header = decodePart(token.split('.', 1)[0]);
  const isSigned = header?.alg !== undefined && header.enc === undefined;
  return isSigned && decodeJwt(token) === undefined;
}

function decodePart(part = ''): JsonObject | undefined {
  if (!/^[\w-]+$/.test(part)) return undefined;
  const text = Buffer.from(part, 'base64url').toString('utf8');
  if (!text.startsWith('{') || nestsDeeperThan(text, 32)) return undefined;
  try {
    const value: unknown = JSON.parse(text, (key, member) => (key === '__proto__' ? undefined : member));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
