import { createPrivateKey, createPublicKey, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { AppError, reasonOf } from '../../lib/errors.ts';
import { isObject, type JsonObject, stringMember } from '../../lib/json.ts';
import { display } from '../../lib/text.ts';

/** The private key that a client proves itself with (`--client-key`), as its file has it now. */
export interface ClientKey {
  readonly file: string;
  readonly key: KeyObject;
  /** What it can sign with, the most widely known first (RFC 7518 3.1, RFC 8037 3.1). Never empty. */
  readonly algorithms: readonly string[];
  /** How the server finds its public half: `kid`, `x5t`, `x5t#S256` of the assertion's header (RFC 7515 4.1). */
  readonly names: Readonly<Record<string, string>>;
  /** Other users of this machine can read the file. Never on Windows, where the mode does not tell. */
  readonly exposed: boolean;
}

const longestFile = 64 * 1024;

/**
 * Reads a private key in PEM (PKCS#8, PKCS#1, SEC1) or as a JWK. A certificate in the same PEM file names the
 * key by its thumbprint, as Entra ID wants it.
 *
 * Throws AppError `sign_in_failed`: not to be read, protected with a passphrase, no private key, of a kind that
 * signs nothing we know, too short. No message quotes the file.
 */
export async function readClientKey(file: string): Promise<ClientKey> {
  const { text, exposed } = await readBounded(file);
  const jwk = text.trimStart().startsWith('{') ? parseJwk(text, file) : undefined;
  const key = jwk ? privateKeyOf(file, { key: jwk, format: 'jwk' }) : privateKeyOf(file, pemOf(text, file));
  const able = algorithmsOf(key, file);
  const wished = jwk && stringMember(jwk, 'alg');
  if (wished !== undefined && !able.includes(wished)) {
    throw unfit(file, `says alg ${display(wished, 40)}, which such a key cannot do`);
  }
  const algorithms = wished === undefined ? able : [wished];
  return { file, key, algorithms, names: jwk ? namesIn(jwk) : namesOf(text), exposed };
}

/** The algorithm to sign with: the first that `listed` has too; undefined: none is in both. */
export function algorithmFor(key: ClientKey, listed: readonly string[] | undefined): string | undefined {
  return listed ? key.algorithms.find((algorithm) => listed.includes(algorithm)) : key.algorithms[0];
}

/** The key for the OAuth library. In: one of its algorithms. */
export function importForSigning({ key }: ClientKey, algorithm: string): Promise<webcrypto.CryptoKey> {
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, webCryptoOf(algorithm), false, ['sign']);
}

/** The public half as a JWK, to be registered (RFC 7591 2, `jwks`). In: one of its algorithms. */
export function publicJwk({ key, names }: ClientKey, algorithm: string): JsonObject {
  const { kid } = names;
  return {
    ...createPublicKey(key).export({ format: 'jwk' }),
    ...(kid === undefined ? {} : { kid }),
    alg: algorithm,
    use: 'sig',
  };
}

async function readBounded(file: string): Promise<{ text: string; exposed: boolean }> {
  const cannot = (why: string, cause?: unknown) =>
    new AppError('sign_in_failed', `the client key ${display(file)} cannot be read: ${why}`, {
      hint: 'name the file with the private key of the client: --client-key FILE',
      cause,
    });
  try {
    const found = await stat(file);
    if (!found.isFile()) throw cannot('it is no file');
    if (found.size > longestFile) throw cannot('it is too large for a key');
    const exposed = process.platform !== 'win32' && (found.mode & 0o044) !== 0;
    return { text: await readFile(file, 'utf8'), exposed };
  } catch (error) {
    throw error instanceof AppError ? error : cannot(reasonOf(error), error);
  }
}

/** Node's own error may quote the text: it is not kept as the cause. */
function parseJwk(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unfit(file, 'is not JSON');
  }
  if (!isObject(value)) throw unfit(file, 'is no JWK');
  if (Array.isArray(value.keys))
    throw unfit(file, 'is a set of keys: put the one key into a file of its own');
  if (value.kty === 'oct') throw unfit(file, 'is a shared secret: that goes into MCP_WHOAMI_CLIENT_SECRET');
  if (typeof value.d !== 'string') throw unfit(file, 'has no private part');
  return value;
}

function pemOf(text: string, file: string): string {
  if (/ENCRYPTED/.test(text)) {
    throw new AppError('sign_in_failed', `the client key ${display(file)} is protected with a passphrase`, {
      hint: 'a session renews itself with nobody there to type it; write the key out plainly, for you alone: (umask 077; openssl pkey -in FILE -out PLAIN)',
    });
  }
  if (/BEGIN OPENSSH PRIVATE KEY/.test(text)) {
    throw unfit(file, 'has the form of ssh', 'convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY');
  }
  if (!/PRIVATE KEY-----/.test(text)) throw unfit(file, 'holds no private key in PEM, and is no JWK');
  return text;
}

function privateKeyOf(file: string, given: string | { key: JsonObject; format: 'jwk' }): KeyObject {
  try {
    return createPrivateKey(given as Parameters<typeof createPrivateKey>[0]);
  } catch {
    throw unfit(file, 'is damaged, or of a kind that is not known here');
  }
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

function algorithmsOf(key: KeyObject, file: string): readonly string[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: detail } = key;
  if (type === 'rsa') {
    // RFC 7518 3.3 and 3.5.
    if ((detail?.modulusLength ?? 0) < 2048) throw unfit(file, 'is an RSA key of less than 2048 bits');
    return ['RS256', 'PS256', 'RS384', 'PS384', 'RS512', 'PS512'];
  }
  if (type === 'ed25519') return ['EdDSA', 'Ed25519'];
  const onCurve = type === 'ec' ? curves[detail?.namedCurve ?? ''] : undefined;
  if (onCurve) return [onCurve];
  throw unfit(file, `is a key of the kind ${type}: RSA, EC (P-256, P-384, P-521) and Ed25519 will do`);
}

function webCryptoOf(algorithm: string) {
  const hash = `SHA-${algorithm.slice(2)}`;
  if (algorithm.startsWith('RS')) return { name: 'RSASSA-PKCS1-v1_5', hash };
  if (algorithm.startsWith('PS')) return { name: 'RSA-PSS', hash };
  if (!algorithm.startsWith('ES')) return { name: 'Ed25519' };
  return { name: 'ECDSA', namedCurve: algorithm === 'ES512' ? 'P-521' : `P-${algorithm.slice(2)}` };
}

function namesIn(jwk: JsonObject): Record<string, string> {
  const found = ['kid', 'x5t', 'x5t#S256'].flatMap((name) => {
    const value = stringMember(jwk, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(found);
}

function namesOf(pem: string): Record<string, string> {
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(pem)?.[0];
  if (certificate === undefined) return {};
  try {
    const { fingerprint256 } = new X509Certificate(certificate);
    return { 'x5t#S256': Buffer.from(fingerprint256.replaceAll(':', ''), 'hex').toString('base64url') };
  } catch {
    return {};
  }
}

function unfit(file: string, why: string, hint?: string): AppError {
  return new AppError('sign_in_failed', `the client key ${display(file)} ${why}`, {
    hint: hint ?? 'give a private key in PEM (PKCS#8, PKCS#1, SEC1) or as a JWK: --client-key FILE',
  });
}
