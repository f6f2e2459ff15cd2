import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, reasonOf } from '../lib/errors.ts';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { isObject, type JsonObject, parseJsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import { type IndexEntry, type Place, readEntry, readPlace } from './index-entry.ts';
import type { Locks } from './vault.ts';

export type { IndexEntry, Place } from './index-entry.ts';

/** What we know about our sign-ins without asking the keychain: for `status`, and for telling a lie. No secrets. */
export interface Index {
  list(): Promise<IndexEntry[]>;
  get(key: string): Promise<IndexEntry | undefined>;
  put(entry: IndexEntry): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Which vault entries exist and where: kept by the vault itself, beside the sign-ins in the same file. */
export interface Places {
  place(key: string): Promise<Place | undefined>;
  places(): Promise<ReadonlyMap<string, Place>>;
  /** `undefined`: nothing is stored under this key any more. */
  setPlace(key: string, place: Place | undefined): Promise<void>;
}

export type IndexFile = Index & Places;

interface Content {
  readonly entries: Map<string, IndexEntry>;
  readonly places: Map<string, Place>;
  readonly damaged: boolean;
}

const lockMs = 10_000;

/**
 * The index in `<configDir>/index.json`, shared by all processes of the user.
 *
 * Changes are made under the lock `index` and written atomically. A file that is no index of ours is kept as
 * `index.json.damaged`, said aloud, and started anew. Throws AppError: `vault_failed` when the folder cannot be
 * read or written, `lock_timeout`.
 */
export function openIndex(configDir: string, locks: Locks, log: Log): IndexFile {
  const path = join(configDir, 'index.json');
  let warned = false;

  async function read(): Promise<Content> {
    const text = await readFileIfThere(path).catch((cause) => {
      throw cannot('read', cause);
    });
    if (text === undefined) return { entries: new Map(), places: new Map(), damaged: false };
    try {
      return parse(text);
    } catch (error) {
      if (!warned)
        log.warn('the index is damaged; sign-ins may have to be repeated', { path, reason: error });
      warned = true;
      return { entries: new Map(), places: new Map(), damaged: true };
    }
  }

  async function change(apply: (content: Content) => void): Promise<void> {
    const lock = await locks.acquire('index', lockMs);
    try {
      const content = await read();
      if (content.damaged) await copyFile(path, `${path}.damaged`);
      apply(content);
      await writeFileAtomically(path, print(content));
    } catch (error) {
      throw error instanceof AppError ? error : cannot('write', error);
    } finally {
      await lock.release();
    }
  }

  async function list(): Promise<IndexEntry[]> {
    const { entries, places } = await read();
    return [...entries.values()].map((entry) => ({ ...entry, ...whereabouts(entry, places.get(entry.key)) }));
  }

  const cannot = (what: string, cause: unknown) =>
    new AppError('vault_failed', `cannot ${what} ${path}: ${reasonOf(cause)}`, {
      hint: 'make the folder yours again, or name another one in MCP_WHOAMI_CONFIG_DIR',
      cause,
    });

  return {
    list,
    get: async (key) => (await list()).find((entry) => entry.key === key),
    put: (entry) => change(({ entries }) => void entries.set(entry.key, entry)),
    remove: (key) => change(({ entries }) => void entries.delete(key)),
    place: async (key) => (await read()).places.get(key),
    places: async () => (await read()).places,
    setPlace: (key, place) =>
      change(({ places }) => void (place ? places.set(key, place) : places.delete(key))),
  };
}

function parse(text: string): Content {
  const file = parseJsonObject(text, 'index.json');
  return {
    entries: new Map(
      membersOf(file.signIns).flatMap(([key, value]) => {
        const entry = readEntry(key, value);
        return entry ? [[key, entry]] : [];
      }),
    ),
    places: new Map(
      membersOf(file.stored).flatMap(([key, value]) => {
        const place = readPlace(value);
        return place ? [[key, place]] : [];
      }),
    ),
    damaged: false,
  };
}

/** The vault knows better than the one who wrote the sign-in. */
const whereabouts = (entry: IndexEntry, place: Place | undefined) => ({
  store: place?.store ?? entry.store,
  binding: place?.binding,
});

const membersOf = (value: unknown): [string, JsonObject][] =>
  isObject(value)
    ? Object.entries(value).filter((pair): pair is [string, JsonObject] => isObject(pair[1]))
    : [];

function print({ entries, places }: Content): string {
  const signIns = Object.fromEntries(
    [...entries].map(([key, { key: _key, binding: _binding, ...rest }]) => [key, rest]),
  );
  return `${JSON.stringify({ version: 1, signIns, stored: Object.fromEntries(places) }, undefined, 2)}\n`;
}
