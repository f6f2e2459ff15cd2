import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { SigningKey } from '../../lib/signing-key.ts';

/**
 * Names of upstream sessions as our clients see them: each is worth something to its own user only (MCP security
 * best practices, "Session Hijacking"). They carry all there is to know, so that nothing is kept and every replica
 * with the same key understands them.
 */
export interface Handles {
  /** In: the upstream's own name, and whose it is. Out: visible ASCII, fit for a header and a query. */
  seal(name: string, user: string): string;
  /** The upstream's name; `undefined` for another user's handle, and for what is none. */
  open(handle: string, user: string): string | undefined;
}

/** Upstream names are shorter than that. Characters. */
const longest = 4_096;

/** In: `kind`, what is named. A handle of one kind is none of another: a name that is chosen freely is no path. */
export function createHandles(key: SigningKey, kind: 'session' | 'endpoint'): Handles {
  const secret = Buffer.from(hkdfSync('sha256', key.d, '', `mcp-whoami upstream ${kind}`, 32));
  const proof = (name: string, user: string) =>
    createHmac('sha256', secret)
      .update(JSON.stringify([user, name]))
      .digest();

  return {
    seal: (name, user) =>
      `${Buffer.from(name).toString('base64url')}.${proof(name, user).toString('base64url')}`,
    open(handle, user) {
      const [text = '', given = '', ...more] = handle.slice(0, longest).split('.');
      if (!text || more.length > 0) return undefined;
      const name = Buffer.from(text, 'base64url').toString();
      const [expected, got] = [proof(name, user), Buffer.from(given, 'base64url')];
      return got.length === expected.length && timingSafeEqual(got, expected) ? name : undefined;
    },
  };
}
