import { createCipheriv, createDecipheriv, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AppError } from '../lib/errors.ts';
import { isObject, parseJsonObject, stringMember } from '../lib/json.ts';
import type { Secret } from '../lib/secret.ts';

/** What entries are sealed under: a passphrase, or a random key of 32 bytes that lies in a file of its own. */
export type Opener = { readonly passphrase: Secret } | { readonly key: Uint8Array };

/** scrypt with 32 MiB and about 0.1 s a guess (RFC 7914 2). */
const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const derive = promisify<string, Uint8Array, number, typeof cost, Buffer>(scrypt);

export interface Seals {
  /** Out: the text of a file. */
  seal(name: string, plain: string, opener: Opener): Promise<string>;
  /**
   * In: the text of a file, the name it was sealed under, and who can give a key of the kind that the file
   * wants. Throws AppError `vault_failed`: wrong passphrase; changed or damaged; not of this format.
   */
  open(
    name: string,
    sealed: string,
    path: string,
    openerFor: (kind: Kind) => Promise<Opener>,
  ): Promise<string>;
}

export type Kind = 'passphrase' | 'key file';

interface Keys {
  readonly cipher: Buffer;
  /** Tells a wrong passphrase from a damaged file; says nothing about the cipher key. */
  readonly check: Buffer;
}

/**
 * Seals with AES-256-GCM under a fresh nonce. The entry's name, the kind of key and the salt are authenticated
 * with it, so that no sealed text can be passed off as another entry's. A passphrase is stretched once a process.
 */
export function createSeals(): Seals {
  const derived = new Map<string, Promise<Keys>>();
  let ownSalt: string | undefined;

  function keysOf(opener: Opener, salt: string): Promise<Keys> {
    if ('key' in opener) return Promise.resolve({ cipher: Buffer.from(opener.key), check: Buffer.alloc(0) });
    const known = derived.get(salt);
    if (known) return known;
    const fresh = derive(
      opener.passphrase.reveal().normalize('NFC'),
      Buffer.from(salt, 'base64url'),
      64,
      cost,
    ).then((bytes) => ({ cipher: bytes.subarray(0, 32), check: bytes.subarray(32) }));
    derived.set(salt, fresh);
    return fresh;
  }

  async function seal(name: string, plain: string, opener: Opener): Promise<string> {
    const kind: Kind = 'key' in opener ? 'key file' : 'passphrase';
    ownSalt ??= randomBytes(16).toString('base64url');
    const salt = kind === 'passphrase' ? ownSalt : '';
    const keys = await keysOf(opener, salt);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', keys.cipher, nonce).setAAD(bound(name, kind, salt));
    const data = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    const check = keys.check.toString('base64url');
    const parts = { version: 1, under: kind, salt, check, nonce: nonce.toString('base64url') };
    return `${JSON.stringify({ ...parts, data: data.toString('base64url') })}\n`;
  }

  const open: Seals['open'] = async (name, sealed, path, openerFor) => {
    const damaged = (cause?: unknown) =>
      new AppError('vault_failed', `${path} was changed or damaged; nothing in it can be trusted`, {
        hint: `remove ${path} and run mcp-whoami login again`,
        cause,
      });
    const file = readSealed(sealed);
    if (!file) throw damaged();
    const opener = await openerFor(file.under);
    const keys = await keysOf(opener, file.salt);
    if (!sameBytes(keys.check, Buffer.from(file.check, 'base64url'))) {
      throw new AppError('vault_failed', `the passphrase does not open ${path}`, {
        hint: 'set MCP_WHOAMI_PASSPHRASE to the passphrase of the last login, or log in again',
      });
    }
    try {
      const data = Buffer.from(file.data, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', keys.cipher, Buffer.from(file.nonce, 'base64url'), {
        authTagLength: 16,
      });
      decipher.setAAD(bound(name, file.under, file.salt)).setAuthTag(data.subarray(-16));
      const plain = Buffer.concat([decipher.update(data.subarray(0, -16)), decipher.final()]);
      // One stretching of the passphrase then serves the next `seal` as well.
      if (file.under === 'passphrase') ownSalt ??= file.salt;
      return plain.toString('utf8');
    } catch (cause) {
      throw damaged(cause);
    }
  };

  return { seal, open };
}

const bound = (...parts: string[]) => Buffer.from(JSON.stringify(['mcp-whoami vault 1', ...parts]));
const sameBytes = (a: Buffer, b: Buffer) => a.length === b.length && timingSafeEqual(a, b);

function readSealed(text: string) {
  try {
    const file = parseJsonObject(text, 'the file');
    const member = (name: string) => stringMember(file, name) ?? '';
    if (!isObject(file) || file.version !== 1) return undefined;
    const under = member('under');
    if (under !== 'passphrase' && under !== 'key file') return undefined;
    return {
      under: under as Kind,
      salt: member('salt'),
      check: member('check'),
      nonce: member('nonce'),
      data: member('data'),
    };
  } catch {
    return undefined;
  }
}
