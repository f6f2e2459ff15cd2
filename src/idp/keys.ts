import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { isObject, parseJsonObject, stringMember } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';

/** What the demo authorization server signs with. Private: kept in a file that only its owner can read. */
export interface ProviderKeys {
  /** Signs id tokens and JWT access tokens. A private P-256 key with `kid`, `alg` and `use` (RFC 7517). */
  readonly signing: SigningKey;
  /** Signs the cookies. */
  readonly cookie: string;
  /** Makes the forms' tokens against cross-site request forgery. */
  readonly form: string;
}

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

/**
 * The keys kept in `file`; made and written there the first time. A file that cannot be understood is replaced,
 * which ends every sign-in made before, and says so.
 */
export async function loadKeys(file: string, log: Log): Promise<ProviderKeys> {
  const text = await readFileIfThere(file);
  if (text !== undefined) {
    const kept = parseKeys(text);
    if (kept) return kept;
    log.warn('the keys of the demo authorization server cannot be read; new ones are made', { file });
  }
  const made: ProviderKeys = {
    signing: makeSigningKey(),
    cookie: randomBytes(32).toString('base64url'),
    form: randomBytes(32).toString('base64url'),
  };
  await writeFileAtomically(file, `${JSON.stringify(made, null, 2)}\n`);
  return made;
}

function parseKeys(text: string): ProviderKeys | undefined {
  try {
    const { signing, ...rest } = parseJsonObject(text, 'the key file');
    const cookie = stringMember(rest, 'cookie');
    const form = stringMember(rest, 'form');
    if (!cookie || !form || !isObject(signing)) return undefined;
    const [x, y, d, kid] = ['x', 'y', 'd', 'kid'].map((member) => stringMember(signing, member));
    if (!x || !y || !d || !kid || signing.kty !== 'EC' || signing.crv !== 'P-256') return undefined;
    return { signing: { kty: 'EC', crv: 'P-256', x, y, d, kid, alg: 'ES256', use: 'sig' }, cookie, form };
  } catch {
    return undefined;
  }
}

function makeSigningKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '', d = '' } = privateKey.export({ format: 'jwk' });
  // The thumbprint of RFC 7638 3: required members only, in lexicographic order.
  const kid = createHash('sha256')
    .update(JSON.stringify({ crv: 'P-256', kty: 'EC', x, y }))
    .digest('base64url');
  return { kty: 'EC', crv: 'P-256', x, y, d, kid, alg: 'ES256', use: 'sig' };
}
