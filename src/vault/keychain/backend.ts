import type { BindingName } from '../index-entry.ts';

/**
 * One way to the system's keychain. What is stored is (our service, `account`) -> text. `null`: nothing is
 * there, or so the binding says; a locked keyring looks like that to one of them. Rejects with whatever the
 * binding throws, or with an error of code `BINDING_MISSING`.
 */
export interface KeychainBackend {
  readonly name: BindingName;
  get(account: string): Promise<string | null>;
  set(account: string, value: string): Promise<void>;
  /** True if something was removed. */
  delete(account: string): Promise<boolean>;
  /** Ends calls that are under way, where that is possible: their time is over. */
  abandon?(): void;
}

export const service = 'mcp-whoami';

/** The code of the error when a native part is not installed here, or does not fit this machine. */
export const bindingMissing = 'BINDING_MISSING';

/** Both bindings, in the order of preference. A native part is loaded with the first call. */
export function nativeBackends(): readonly KeychainBackend[] {
  return [keytarBackend(), napiBackend()];
}

function keytarBackend(): KeychainBackend {
  const keytar = loaded('keytar', async () => (await import('keytar')).default);
  return {
    name: 'keytar',
    get: async (account) => (await keytar()).getPassword(service, account),
    set: async (account, value) => (await keytar()).setPassword(service, account, value),
    delete: async (account) => (await keytar()).deletePassword(service, account),
  };
}

function napiBackend(): KeychainBackend {
  const keyring = loaded('@napi-rs/keyring', async () => (await import('@napi-rs/keyring')).default);
  // Left to choose, it takes the kernel's keyring when there is no D-Bus: empty, and lost at the next boot.
  const entry = async (account: string) =>
    new (await keyring()).AsyncEntry(service, account, { linux: { store: 'secret-service' } });
  return {
    name: 'napi',
    get: async (account) => (await entry(account)).getPassword(),
    set: async (account, value) => (await entry(account)).setPassword(value),
    delete: async (account) => (await entry(account)).deletePassword(),
  };
}

/** Loads a native package at the first call; its failure to load gets a code that we can tell. */
function loaded<T>(name: string, load: () => Promise<T>): () => Promise<T> {
  let module: Promise<T> | undefined;
  return () => {
    module ??= load().catch((cause) => {
      throw Object.assign(new Error(`${name} cannot be loaded`, { cause }), { code: bindingMissing });
    });
    return module;
  };
}
