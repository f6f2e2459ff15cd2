import { randomBytes } from 'node:crypto';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { parseJsonObject, stringMember } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import { makeSigningKey, readSigningKey, type SigningKey } from '../lib/signing-key.ts';

/** What the demo authorization server signs with. Private: kept in a file that only its owner can read. */
export interface ProviderKeys {
  /** Signs id tokens and JWT access tokens. A private P-256 key with `kid`, `alg` and `use` (RFC 7517). */
  readonly signing: SigningKey;
  /** Signs the cookies. */
  readonly cookie: string;
  /** Makes the forms' tokens against cross-site request forgery. */
  readonly form: string;
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
    const key = readSigningKey(signing);
    return cookie && form && key ? { signing: key, cookie, form } : undefined;
  } catch {
    return undefined;
  }
}
