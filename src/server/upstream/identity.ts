import { importJWK, SignJWT } from 'jose';
import { AppError } from '../../lib/errors.ts';
import { readFileIfThere, writeFileOnce } from '../../lib/files.ts';
import { parseJsonObject } from '../../lib/json.ts';
import { makeSigningKey, readSigningKey, type SigningKey } from '../../lib/signing-key.ts';
import type { Principal } from '../verify/principal.ts';

/** Who is calling, for the server behind the gate. Whatever comes in under this name is dropped. */
export const identityHeader = 'x-whoami-identity';

/** Seconds. */
const lifetime = 60;
/** One that was made less long ago is used again. Milliseconds. */
const reuse = 20_000;

/** Makes the identities that requests carry to the server behind the gate. */
export interface IdentitySigner {
  /**
   * Out: a JWT (ES256, 60 s). `iss` is us, `aud` the URL behind the gate, `sub` the subject; `whoami` holds what
   * the tool of that name would have shown, with the subject's own issuer: (`whoami.iss`, `sub`) names a user.
   */
  sign(principal: Principal, issuer: string): Promise<string>;
}

export interface IdentityOptions {
  readonly key: SigningKey;
  readonly audience: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Made {
  readonly issuer: string;
  readonly at: number;
  readonly jwt: Promise<string>;
}

export function createIdentitySigner({ key, audience, now }: IdentityOptions): IdentitySigner {
  const imported = importJWK({ ...key }, key.alg);
  const made = new WeakMap<Principal, Made>();

  async function make({ identity }: Principal, issuer: string, at: number): Promise<string> {
    const issuedAt = Math.floor(at / 1000);
    return new SignJWT({
      client_id: identity.clientId,
      scope: identity.scopes.join(' '),
      whoami: identity.claims,
    })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setSubject(identity.subject)
      .setAudience(audience)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetime)
      .sign(await imported);
  }

  return {
    sign(principal, issuer) {
      const known = made.get(principal);
      const at = now();
      if (known && known.issuer === issuer && at - known.at < reuse) return known.jwt;
      const jwt = make(principal, issuer, at);
      made.set(principal, { issuer, at, jwt });
      return jwt;
    },
  };
}

/**
 * The key in `file`, made and written there the first time, also by several replicas at once that share the
 * folder. Throws AppError `vault_failed` when it cannot be read or written: a new key in its place would let the
 * servers behind the other replicas refuse what we sign.
 */
export async function loadIdentityKey(file: string): Promise<SigningKey> {
  const failed = (cause: unknown) =>
    new AppError('vault_failed', `the key that signs identities cannot be used: ${file}`, {
      hint: 'make the file readable again, or remove it: a new key is made, for all replicas that share it',
      cause,
    });
  const read = async () => {
    const text = await readFileIfThere(file);
    if (text === undefined) return undefined;
    const key = readSigningKey(parseJsonObject(text, file));
    if (!key) throw new Error('not a P-256 key');
    return key;
  };
  try {
    const kept = await read();
    if (kept) return kept;
    const key = makeSigningKey();
    const isOurs = await writeFileOnce(file, `${JSON.stringify(key, undefined, 2)}\n`);
    return isOurs ? key : ((await read()) ?? key);
  } catch (cause) {
    throw failed(cause);
  }
}
