import { constants, createHash, createPublicKey, type JsonWebKey, verify } from 'node:crypto';

/** What a proof has to fit (RFC 9449 4.3). */
export interface Expected {
  readonly method: string;
  /** Without query and fragment. */
  readonly target: string;
  readonly token: string;
  /** Those that are good now; empty: none is asked for. */
  readonly nonces: readonly string[];
  /** Every `jti` so far. */
  readonly used: Set<string>;
  /** Seconds since the epoch. */
  readonly now: number;
}

export type Judgement =
  | { readonly thumbprint: string; readonly payload: Record<string, unknown> }
  | { readonly error: 'use_dpop_nonce' | 'invalid_dpop_proof'; readonly why: string };

const hashes: Record<string, string> = {
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
  PS256: 'sha256',
  RS256: 'sha256',
};
const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'];

/** Verifies a DPoP proof, written from RFC 9449 alone: nothing of it is shared with the code under test. */
export function judgeProof(proof: string | undefined, expected: Expected): Judgement {
  const refuse = (why: string): Judgement => ({ error: 'invalid_dpop_proof', why });
  const [first = '', second = '', signature = '', ...more] = (proof ?? '').split('.');
  if (!first || !second || !signature || more.length > 0) return refuse('no JWT');
  const [header, payload] = [decode(first), decode(second)];
  if (!header || !payload) return refuse('no JWT');
  if (header.typ !== 'dpop+jwt') return refuse('typ');
  const hash = hashes[String(header.alg)];
  const jwk = header.jwk as Record<string, string> | undefined;
  if (!hash || !jwk || privateMembers.some((name) => name in jwk)) return refuse('alg or jwk');
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  const dsaEncoding = 'ieee-p1363' as const;
  const verifier = { key, dsaEncoding, ...(header.alg === 'PS256' ? pss : {}) };
  if (!verify(hash, Buffer.from(`${first}.${second}`), verifier, Buffer.from(signature, 'base64url'))) {
    return refuse('signature');
  }
  const { jti, htm, htu, iat, ath, nonce } = payload;
  if (typeof jti !== 'string' || jti === '' || expected.used.has(jti)) return refuse('jti');
  expected.used.add(jti);
  if (htm !== expected.method) return refuse('htm');
  if (htu !== expected.target) return refuse('htu');
  if (typeof iat !== 'number' || Math.abs(iat - expected.now) > 60) return refuse('iat');
  if (ath !== sha256(expected.token)) return refuse('ath');
  if (expected.nonces.length > 0 && !expected.nonces.includes(String(nonce))) {
    return { error: 'use_dpop_nonce', why: 'nonce' };
  }
  return { thumbprint: thumbprintOf(jwk), payload };
}

/** RFC 7638 3. */
function thumbprintOf(jwk: Record<string, string>): string {
  const names = jwk.kty === 'EC' ? ['crv', 'kty', 'x', 'y'] : ['e', 'kty', 'n'];
  return sha256(JSON.stringify(Object.fromEntries(names.map((name) => [name, jwk[name]]))));
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

export function decode(part: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
