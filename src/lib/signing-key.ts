import { createHash, generateKeyPairSync } from 'node:crypto';
import { isObject, type JsonObject, stringMember } from './json.ts';

/** A private P-256 key with `kid`, `alg` and `use` (RFC 7517). A secret. */
export interface SigningKey {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly d: string;
  readonly kid: string;
  readonly alg: 'ES256';
  readonly use: 'sig';
}

export function makeSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '', d = '' } = privateKey.export({ format: 'jwk' });
  // The thumbprint of RFC 7638 3: required members only, in lexicographic order.
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'P-256', kty: 'EC', x, y }))
    .digest('base64url');
  return { kty: 'EC', crv: 'P-256', x, y, d, kid, alg: 'ES256', use: 'sig' };
}

/** A key as `makeSigningKey` makes it, read again; `undefined` when it is none. */
export function readSigningKey(from: unknown): SigningKey | undefined {
  if (!isObject(from) || from.kty !== 'EC' || from.crv !== 'P-256') return undefined;
  const [x, y, d, kid] = ['x', 'y', 'd', 'kid'].map((member) => stringMember(from, member));
  if (!x || !y || !d || !kid) return undefined;
  return { kty: 'EC', crv: 'P-256', x, y, d, kid, alg: 'ES256', use: 'sig' };
}

/** What everybody may know of a key: what verifies its signatures. */
export function publicPart({ d: _, ...shown }: SigningKey): JsonObject {
  return shown;
}
