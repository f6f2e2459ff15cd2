import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { Secret } from '../../lib/secret.ts';
import type { BindingName, Place } from '../index-entry.ts';
import type { Places } from '../index-file.ts';
import type { Vault } from '../vault.ts';
import type { KeychainBackend } from './backend.ts';
import { lost, translateBindingError, worstOf } from './errors.ts';
import { createParts } from './parts.ts';
import { createTurns } from './turns.ts';

export interface KeychainOptions {
  readonly backends: readonly KeychainBackend[];
  readonly places: Places;
  readonly waitMs: number;
  readonly maxEntryBytes: number;
  readonly description: string;
  readonly log: Log;
}

export interface KeychainStore extends Vault {
  /** Resolves when an entry can be written, read and removed here. Throws as the vault does. */
  check(): Promise<void>;
}

/** How long another process may take between removing an entry and saying so in the index. Milliseconds. */
const patienceMs = 1_000;

/**
 * Secrets in the system's keychain, through either of two native bindings.
 *
 * Written through the binding that wrote the entry before, else through the first that passes a probe; read
 * through either, removed from both. "Nothing there" is believed only when our index agrees: a locked keyring
 * says that too.
 */
export function createKeychainStore(options: KeychainOptions): KeychainStore {
  const { places, log } = options;
  const parts = createParts(options.maxEntryBytes);
  const run = createTurns(options.backends, options.waitMs);
  let proven: BindingName | undefined;

  /** Asks one binding after the other until one gives an answer that settles it. */
  async function ask<T>(
    backends: readonly KeychainBackend[],
    work: (backend: KeychainBackend) => Promise<T | undefined>,
  ): Promise<{ readonly value: T | undefined; readonly errors: readonly AppError[] }> {
    const errors: AppError[] = [];
    for (const backend of backends) {
      try {
        const value = await work(backend);
        if (value !== undefined) return { value, errors };
      } catch (error) {
        errors.push(translateBindingError(error));
      }
    }
    const heard = errors.length < backends.length;
    const serious = errors.filter((error) => error.code !== 'keychain_unavailable');
    if (serious.length > 0 || !heard) throw worstOf(serious.length > 0 ? serious : errors);
    return { value: undefined, errors };
  }

  async function writable(backends: readonly KeychainBackend[]): Promise<KeychainBackend> {
    const found = await ask(inOrder(backends, proven), async (backend) => {
      if (backend.name !== proven) await probe(backend);
      return backend;
    });
    if (!found.value) throw worstOf(found.errors);
    if (proven !== found.value.name) log.debug('keychain binding chosen', { binding: found.value.name });
    proven = found.value.name;
    return found.value;
  }

  const load = (key: string) =>
    run(async (backends) => {
      const place = await placeOf(key);
      const { value, errors } = await ask(inOrder(backends, place?.binding), (backend) =>
        parts.read(backend, key),
      );
      if (value !== undefined) return new Secret(value);
      if (place && !(await isRemoved(key))) throw lost(errors[0]);
      return undefined;
    });

  const save = (key: string, value: Secret) =>
    run(async (backends) => {
      const before = await placeOf(key);
      const write = async (backend: KeychainBackend) => {
        const place = { store: 'keychain', binding: backend.name } as const;
        const { begun, note } = notes(key, place, before?.binding === backend.name ? before.begun : []);
        const inUse = await parts.write(backend, key, value.reveal(), note);
        for (const generation of begun) {
          if (generation !== inUse) await parts.sweep(backend, key, generation);
        }
        const known = await placeOf(key);
        if (known?.binding !== backend.name || known.begun) await places.setPlace(key, place);
        return backend.name;
      };
      const own = backends.find((backend) => backend.name === before?.binding);
      const used = (own && (await unlessAbsent(write(own)))) ?? (await write(await writable(backends)));
      if (own && own.name !== used) await unlessAbsent(parts.remove(own, key, async () => {}));
    }).catch(translated);

  const remove = (key: string) =>
    run(async (backends) => {
      const before = await placeOf(key);
      let gone = false;
      const tryRemoving = async (backend: KeychainBackend) => {
        const isHome = before && backend.name === (before.binding ?? backend.name);
        const { begun, note } = notes(key, before, isHome ? before.begun : []);
        if ((await parts.remove(backend, key, note)) && isHome) gone = true;
        for (const generation of begun) await parts.sweep(backend, key, generation);
        return undefined;
      };
      const { errors } = await ask(backends, tryRemoving).catch((error: AppError) => {
        if (before || error.code !== 'keychain_unavailable') throw error;
        return { errors: [] };
      });
      if (!before) return;
      if (!gone) await proveOpen(backends, before, errors);
      await places.setPlace(key, undefined);
    });

  /** Keeps in the index which generations of parts a change that is interrupted may leave behind. */
  function notes(key: string, place: Place | undefined, earlier: readonly string[] = []) {
    const begun = new Set(earlier);
    const note = async (generations: readonly string[]) => {
      for (const generation of generations) begun.add(generation);
      if (place) await places.setPlace(key, { ...place, begun: [...begun] });
    };
    return { begun, note };
  }

  /** A locked keyring answers "there was nothing to remove". One that takes a new entry is not locked. */
  async function proveOpen(
    backends: readonly KeychainBackend[],
    before: Place,
    errors: readonly AppError[],
  ): Promise<void> {
    const [backend] = inOrder(backends, before.binding);
    if (!backend) throw worstOf(errors);
    await probe(backend).catch(translated);
  }

  async function placeOf(key: string): Promise<Place | undefined> {
    const place = await places.place(key);
    return place?.store === 'keychain' ? place : undefined;
  }

  async function isRemoved(key: string): Promise<boolean> {
    for (const end = performance.now() + patienceMs; performance.now() < end; await delay(50)) {
      if (!(await placeOf(key))) return true;
    }
    return false;
  }

  return {
    kind: 'keychain',
    description: options.description,
    check: () => run(async (backends) => void (await writable(backends))),
    load,
    save,
    remove,
  };
}

/** Writes, reads and removes an entry that nobody else uses. */
async function probe(backend: KeychainBackend): Promise<void> {
  const account = `probe-${randomBytes(8).toString('hex')}`;
  await backend.set(account, 'probe');
  const found = await backend.get(account);
  await backend.delete(account);
  if (found !== 'probe') throw new AppError('vault_failed', 'the keychain does not keep what it is given');
}

function inOrder(
  backends: readonly KeychainBackend[],
  first: BindingName | undefined,
): readonly KeychainBackend[] {
  return [...backends].sort((a, b) => Number(b.name === first) - Number(a.name === first));
}

/** `undefined` when the binding or its service is not there; every other failure counts. */
async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const known = translateBindingError(error);
    if (known.code === 'keychain_unavailable') return undefined;
    throw known;
  }
}

const translated = (error: unknown): never => {
  throw translateBindingError(error);
};
