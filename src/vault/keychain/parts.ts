import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '../../lib/errors.ts';
import type { KeychainBackend } from './backend.ts';

/**
 * One entry of any length in a keychain that may limit its entries.
 *
 * What fits is one keychain entry, `w1:TEXT`. What does not is cut into numbered parts under a generation of
 * their own, `KEY.GENERATION.NUMBER`, and the entry names them: `p1:GENERATION:COUNT:DIGEST`. The entry is
 * written after its parts, and the old parts go after that, so a crash leaves the old or the new value whole.
 */
export interface Parts {
  /** `undefined`: nothing there. Throws AppError `vault_failed` when parts are missing for good. */
  read(backend: KeychainBackend, key: string): Promise<string | undefined>;
  /** `begin` is told the generation before its first part is written, so that it can be swept after a crash. */
  write(
    backend: KeychainBackend,
    key: string,
    text: string,
    begin: (generation: string) => Promise<void>,
  ): Promise<void>;
  /** Out: whether there was an entry. */
  remove(backend: KeychainBackend, key: string): Promise<boolean>;
  /** Removes the parts of a generation, whatever there is of it. */
  sweep(backend: KeychainBackend, key: string, generation: string): Promise<void>;
}

interface Head {
  readonly generation: string;
  readonly count: number;
  readonly digest: string;
}

/** In: the limit of one entry, bytes; `Infinity` where there is none. */
export function createParts(maxEntryBytes: number): Parts {
  const limited = Number.isFinite(maxEntryBytes);
  // One binding stores UTF-8, the other UTF-16.
  const fits = (text: string) => Math.max(Buffer.byteLength(text), text.length * 2) <= maxEntryBytes;
  const partLength = Math.max(1, Math.floor(maxEntryBytes / 2));
  const headOf = async (backend: KeychainBackend, key: string) =>
    limited ? readHead((await backend.get(key)) ?? '') : undefined;

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
    begin: (generation: string) => Promise<void>,
  ): Promise<void> {
    const old = await headOf(backend, key);
    if (fits(`w1:${text}`)) {
      await backend.set(key, `w1:${text}`);
    } else {
      const generation = randomBytes(4).toString('hex');
      await begin(generation);
      const encoded = Buffer.from(text).toString('base64url');
      let count = 0;
      for (let at = 0; at < encoded.length; at += partLength) {
        await backend.set(partName(key, generation, count++), encoded.slice(at, at + partLength));
      }
      await backend.set(key, `p1:${generation}:${count}:${digestOf(text)}`);
    }
    if (old) await sweep(backend, key, old.generation, old.count);
  }

  async function remove(backend: KeychainBackend, key: string): Promise<boolean> {
    const old = await headOf(backend, key);
    const removed = await backend.delete(key);
    if (old) await sweep(backend, key, old.generation, old.count);
    return removed;
  }

  async function sweep(backend: KeychainBackend, key: string, generation: string, count = 0): Promise<void> {
    for (let number = 0; ; number++) {
      const removed = await backend.delete(partName(key, generation, number));
      if (!removed && number >= count) return;
    }
  }

  return { read, write, remove, sweep };
}

async function assemble(backend: KeychainBackend, key: string, head: Head): Promise<string | undefined> {
  let encoded = '';
  for (let number = 0; number < head.count; number++) {
    const part = await backend.get(partName(key, head.generation, number));
    if (part === null) return undefined;
    encoded += part;
  }
  const text = Buffer.from(encoded, 'base64url').toString('utf8');
  return digestOf(text) === head.digest ? text : undefined;
}

const partName = (key: string, generation: string, number: number) => `${key}.${generation}.${number}`;
const digestOf = (text: string) => createHash('sha256').update(text).digest('base64url');

function readHead(entry: string): Head | undefined {
  const found = /^p1:([0-9a-f]{8}):(\d{1,4}):([\w-]{43})$/.exec(entry);
  const [, generation, count, digest] = found ?? [];
  return generation && count && digest ? { generation, count: Number(count), digest } : undefined;
}
