import { reasonOf } from '../lib/errors.ts';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { isObject, parseJsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';

export type Payload = Record<string, unknown>;

interface Entry {
  payload: Payload;
  /** Milliseconds since the epoch; absent: never. */
  expiresAt?: number | undefined;
}

/**
 * What the demo authorization server remembers: small tables (one for each model of the protocol library) in
 * memory, with a copy in one JSON file that is at most about a tenth of a second behind.
 */
export interface Store {
  /** In: the time to live in seconds; `undefined`: for good. Replaces what was there under `id`. */
  put(model: string, id: string, payload: Payload, seconds?: number): void;
  get(model: string, id: string): Payload | undefined;
  /** The first live payload of `model` for which `matches` is true. */
  find(model: string, matches: (payload: Payload) => boolean): Payload | undefined;
  remove(model: string, id: string): void;
  removeWhere(model: string, matches: (payload: Payload) => boolean): void;
  /** Says that a payload handed out by `get` was changed in place. */
  changed(): void;
  /** Writes what is not written yet and stops writing by itself. Never throws: a failure goes to the log. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly file: string;
  readonly log: Log;
  /** Most entries of one model. When it is full, one that `expendable` picks goes, else the oldest. */
  readonly limit: (model: string) => number;
  readonly expendable: (model: string, store: Store) => (id: string, payload: Payload) => boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

const writeDelayMs = 50;
/** Entries outlive their end by this, so that "expired" can be told from "unknown" (RFC 8628 3.5). */
const graceMs = 300_000;

/**
 * Opens the store kept in `file`. A file that cannot be understood is replaced, and the log says so.
 * Throws what the file system throws when the file is there and cannot be read.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { file, log } = options;
  const now = options.now ?? Date.now;
  const tables = await readTables(file, log);
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  let dirty = false;
  let closed = false;
  let complained = false;

  const isLive = (entry: Entry) => entry.expiresAt === undefined || entry.expiresAt + graceMs > now();
  const table = (model: string) => {
    let found = tables.get(model);
    if (!found) {
      found = new Map();
      tables.set(model, found);
    }
    return found;
  };

  async function write(): Promise<void> {
    dirty = false;
    for (const entries of tables.values()) {
      for (const [id, entry] of entries) if (!isLive(entry)) entries.delete(id);
    }
    const models = Object.fromEntries(
      [...tables].map(([model, entries]) => [model, Object.fromEntries(entries)]),
    );
    try {
      await writeFileAtomically(file, JSON.stringify({ version: 1, models }));
      complained = false;
    } catch (error) {
      dirty = true;
      if (!complained) {
        log.warn('the demo authorization server cannot save its state', { file, reason: reasonOf(error) });
      }
      complained = true;
    }
  }

  function changed(): void {
    dirty = true;
    if (timer || writing || closed) return;
    timer = setTimeout(() => {
      timer = undefined;
      writing = write().finally(() => {
        writing = undefined;
        if (dirty && !complained) changed();
      });
    }, writeDelayMs);
  }

  function makeRoom(model: string, entries: Map<string, Entry>): void {
    if (entries.size < options.limit(model)) return;
    for (const [id, entry] of entries) if (!isLive(entry)) entries.delete(id);
    const expendable = options.expendable(model, store);
    while (entries.size >= options.limit(model)) {
      const victim = [...entries].find(([id, entry]) => expendable(id, entry.payload)) ?? [...entries][0];
      if (!victim) return;
      entries.delete(victim[0]);
    }
  }

  const store: Store = {
    put(model, id, payload, seconds) {
      const entries = table(model);
      if (!entries.has(id)) makeRoom(model, entries);
      entries.set(id, { payload, expiresAt: seconds === undefined ? undefined : now() + seconds * 1000 });
      changed();
    },
    get(model, id) {
      const entry = table(model).get(id);
      return entry && isLive(entry) ? entry.payload : undefined;
    },
    find(model, matches) {
      for (const entry of table(model).values()) {
        if (isLive(entry) && matches(entry.payload)) return entry.payload;
      }
      return undefined;
    },
    remove(model, id) {
      if (table(model).delete(id)) changed();
    },
    removeWhere(model, matches) {
      for (const [id, entry] of table(model)) if (matches(entry.payload)) store.remove(model, id);
    },
    changed,
    async close() {
      closed = true;
      clearTimeout(timer);
      timer = undefined;
      await writing;
      if (dirty) await write();
    },
  };
  return store;
}

async function readTables(file: string, log: Log): Promise<Map<string, Map<string, Entry>>> {
  const tables = new Map<string, Map<string, Entry>>();
  const text = await readFileIfThere(file);
  if (text === undefined) return tables;
  try {
    const { version, models } = parseJsonObject(text, 'the state file');
    if (version !== 1 || !isObject(models)) throw new TypeError('not a state file of this version');
    for (const [model, entries] of Object.entries(models)) {
      if (isObject(entries)) tables.set(model, new Map(Object.entries(entries).filter(isEntry)));
    }
  } catch (error) {
    tables.clear();
    log.warn('the state of the demo authorization server cannot be read; it starts without', {
      file,
      reason: reasonOf(error),
    });
  }
  return tables;
}

function isEntry(pair: [string, unknown]): pair is [string, Entry] {
  const [, entry] = pair;
  return (
    isObject(entry) &&
    isObject(entry.payload) &&
    (entry.expiresAt === undefined || typeof entry.expiresAt === 'number')
  );
}
