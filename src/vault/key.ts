import { createHash } from 'node:crypto';
import { canonicalResource } from '../lib/url.ts';

export interface KeyParts {
  /** The protected resource: the URL of the MCP server. Compared in its canonical form (RFC 8707 2). */
  readonly resource: URL | string;
  /** The authorization server's issuer identifier, byte for byte. */
  readonly issuer?: string | undefined;
  readonly profile: string;
  /** What the entry is, when it is not the token set: `pending`, `client-secret` ... */
  readonly purpose?: string | undefined;
}

/**
 * The name of a vault entry: lower-case ASCII, the same for the same parts on every machine.
 *
 * Each part goes into the hash behind its own length, so that no two lists of parts share a name whatever
 * characters they contain; a part that is absent differs from an empty one. A server can therefore never be
 * handed the entry of another (git's credential protocol, CVE-2020-11008, was fooled by a line break).
 */
export function entryKey({ resource, issuer, profile, purpose }: KeyParts): string {
  const hash = createHash('sha256');
  for (const part of [canonicalResource(new URL(resource)), issuer, profile, purpose]) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(part === undefined ? -1 : Buffer.byteLength(part));
    hash.update(length).update(part ?? '');
  }
  return `v1-${hash.digest('hex').slice(0, 40)}`;
}
