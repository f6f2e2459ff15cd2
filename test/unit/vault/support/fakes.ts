import type { BindingName, Place } from '../../../../src/vault/index-entry.ts';
import type { Places } from '../../../../src/vault/index-file.ts';
import { bindingMissing, type KeychainBackend } from '../../../../src/vault/keychain/backend.ts';

export type Mood = 'fine' | 'locked' | 'no service' | 'not installed' | 'silent' | 'forgetful';

export interface FakeBackend extends KeychainBackend {
  readonly entries: Map<string, string>;
  readonly calls: string[];
  mood: Mood;
  /** The process dies before the native step with this number: it and all later ones fail. */
  dieBefore: number;
  abandoned: number;
}

const locked: Record<BindingName, string> = {
  keytar: 'Cannot create an item in a locked collection',
  napi: "Couldn't access platform storage: Secret Service: unlock prompt was dismissed",
};
const absent: Record<BindingName, string> = {
  keytar: 'Cannot autolaunch D-Bus without X11 $DISPLAY',
  napi: 'Platform failure: DBus error: Failed to connect to socket /run/user/0/bus: No such file or directory',
};

/** A binding that says what the real one was seen to say in each state. */
export function fakeBackend(name: BindingName): FakeBackend {
  const fake: FakeBackend = {
    name,
    entries: new Map(),
    calls: [],
    mood: 'fine',
    dieBefore: Number.POSITIVE_INFINITY,
    abandoned: 0,
    get: (account) =>
      step('get', account, () => (fake.mood === 'forgetful' ? null : (fake.entries.get(account) ?? null))),
    set: (account, value) => step('set', account, () => void fake.entries.set(account, value)),
    delete: (account) => step('delete', account, () => fake.entries.delete(account)),
    abandon: () => void fake.abandoned++,
  };

  async function step<T>(what: 'get' | 'set' | 'delete', account: string, act: () => T): Promise<T> {
    if (fake.calls.length >= fake.dieBefore) throw new Error('the process is dead');
    fake.calls.push(`${what} ${account}`);
    if (fake.mood === 'silent') return new Promise<never>(() => {});
    if (fake.mood === 'not installed')
      throw Object.assign(new Error(`${name} cannot be loaded`), { code: bindingMissing });
    if (fake.mood === 'no service') throw new Error(absent[name]);
    if (fake.mood === 'locked') {
      if (what === 'set' || (name === 'napi' && fake.entries.has(account))) throw new Error(locked[name]);
      return (what === 'get' ? null : false) as T;
    }
    return act();
  }
  return fake;
}

/** The part of the index that the vault keeps, in memory. */
export function memoryPlaces(): Places & { readonly all: Map<string, Place> } {
  const all = new Map<string, Place>();
  return {
    all,
    place: async (key) => all.get(key),
    places: async () => all,
    setPlace: async (key, place) => void (place ? all.set(key, place) : all.delete(key)),
  };
}
