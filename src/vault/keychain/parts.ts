import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '../../lib/errors.ts';
import type { KeychainBackend } from './backend.ts';

/**
 * One entry of any length in a keychain that may limit its entries.
 *
 * What fits is one keychain entry, `w1:TEXT`. What does not is cut into numbered parts under a generation of
 * their own, `KEY.GENERATION.NUMBER`, and the entry names them: `p1:GENERATION:DIGEST`; a generation ends with
 * the number of its parts, `5f2b91c0-7`. The entry is written after its parts and before the old ones go, so a
 * crash leaves the old or the new value whole.
 */
export interface Parts {
  /** `undefined`: nothing there. Throws AppError `vault_failed` when parts are missing for good. */
  read(backend: KeychainBackend, key: string): Promise<string | undefined>;
  /**
   * Before its first step `note` is told which generations will be there, the old and the new one, if any: what
   * a crash leaves behind can then be swept. Out: the generation that is in use now; the caller sweeps the rest.
   */
  write(backend: KeychainBackend, key: string, text: string, note: Note): Promise<string | undefined>;
  /** Removes the entry and its parts. Out: whether there was an entry. */
  remove(backend: KeychainBackend, key: string, note: Note): Promise<boolean>;
  /** Removes the parts of a generation, whatever there is of it. */
  sweep(backend: KeychainBackend, key: string, generation: string): Promise<void>;
}

export type Note = (generations: readonly string[]) => Promise<void>;

interface Head {
  readonly generation: string;
  readonly digest: string;
}

/** In: the limit of one entry, bytes; `Infinity` where there is none. */
export function createParts(maxEntryBytes: number): Parts {
  const limited = Number.isFinite(maxEntryBytes);
  // One binding stores UTF-8, the other UTF-16.
  const fits = (text: string) => Math.max(Buffer.byteLength(text), text.length * 2) <= maxEntryBytes;
  const partLength = Math.max(1, Math.floor(maxEntryBytes / 2));
  const generationOf = async (backend: KeychainBackend, key: string) =>
    limited ? readHead((await backend.get(key)) ?? '')?.generation : undefined;

  async function read(backend: KeychainBackend, key: string): Promise<string | undefined> {
    // Another process may replace the entry between our looks at the head and at its parts.
    for (let attempt = 0; attempt < 4; attempt++) {
      const entry = await backend.get(key);
      if (entry === null) return undefined;
      if (entry.startsWith('w1:')) return entry.slice(3);
      const head = readHead(entry);
      if (!head) break;
      const text = await assemble(backend, key, head);
      if (text !== undefined) return text;
    }
    throw new AppError('vault_failed', 'the entry in the keychain is damaged', {
      hint: 'run mcp-whoami login again',
    });
  }

  async function write(
    backend: KeychainBackend,
    key: string,
    text: string,
    note: Note,
  ): Promise<string | undefined> {
    const old = await generationOf(backend, key);
    if (fits(`w1:${text}`)) {
      if (old) await note([old]);
      await backend.set(key, `w1:${text}`);
      return undefined;
    }
    const encoded = Buffer.from(text).toString('base64url');
    const count = Math.ceil(encoded.length / partLength);
    const generation = `${randomBytes(4).toString('hex')}-${count}`;
    await note(old ? [old, generation] : [generation]);
    for (const [number, name] of partNames(key, generation).entries()) {
      await backend.set(name, encoded.slice(number * partLength, (number + 1) * partLength));
    }
    await backend.set(key, `p1:${generation}:${digestOf(text)}`);
    return generation;
  }

  async function remove(backend: KeychainBackend, key: string, note: Note): Promise<boolean> {
    const old = await generationOf(backend, key);
    if (old) await note([old]);
    const removed = await backend.delete(key);
    if (old) await sweep(backend, key, old);
    return removed;
  }

  async function sweep(backend: KeychainBackend, key: string, generation: string): Promise<void> {
    for (const name of partNames(key, generation)) await backend.delete(name);
  }

  return { read, write, remove, sweep };
}

async function assemble(backend: KeychainBackend, key: string, head: Head): Promise<string | undefined> {
  let encoded = '';
  for (const name of partNames(key, head.generation)) {
    const part = await backend.get(name);
    if (part === null) return undefined;
    encoded += part;
  }
  const text = Buffer.from(encoded, 'base64url').toString('utf8');
  return digestOf(text) === head.digest ? text : undefined;
}

function partNames(key: string, generation: string): string[] {
  const count = Number(/-(\d{1,4})$/.exec(generation)?.[1] ?? 0);
  return Array.from({ length: count }, (_, number) => `${key}.${generation}.${number}`);
}

const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url');

function readHead(entry: string): Head | undefined {
  const [, generation, digest] = /^p1:([0-9a-f]{8}-\d{1,4}):([\w-]{43})$/.exec(entry) ?? [];
  return generation && digest ? { generation, digest } : undefined;
}
