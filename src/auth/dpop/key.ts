import { isObject, stringMember } from '../../lib/json.ts';
import { Secret } from '../../lib/secret.ts';

/** The algorithms that we sign proofs with, the preferred one first. */
export const dpopAlgorithms = ['ES256', 'ES384', 'ES512', 'PS256', 'RS256'] as const;
export type DpopAlgorithm = (typeof dpopAlgorithms)[number];

/** The key pair that the tokens of one sign-in are bound to. It goes where they go: into the vault. */
export interface DpopKey {
  readonly algorithm: DpopAlgorithm;
  /** The private key as a JWK (RFC 7517), JSON text. */
  readonly jwk: Secret;
}

export async function makeDpopKey(algorithm: DpopAlgorithm): Promise<DpopKey> {
  const { exportJWK, generateKeyPair } = await import('jose');
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { algorithm, jwk: new Secret(JSON.stringify(await exportJWK(privateKey))) };
}

export function printDpopKey({ algorithm, jwk }: DpopKey): object {
  return { algorithm, jwk: jwk.reveal() };
}

/** In: what `printDpopKey` gave. Undefined when it is none. */
export function parseDpopKey(from: unknown): DpopKey | undefined {
  if (!isObject(from)) return undefined;
  const algorithm = dpopAlgorithms.find((name) => name === from.algorithm);
  const jwk = stringMember(from, 'jwk');
  return algorithm && jwk ? { algorithm, jwk: new Secret(jwk) } : undefined;
}
