import { existsSync } from 'node:fs';
import { missingSessionVariables } from '../lib/desktop.ts';
import { AppError, reasonOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import { createFileStore } from './file-store.ts';
import type { IndexFile } from './index-file.ts';
import { type KeychainBackend, nativeBackends } from './keychain/backend.ts';
import { childBackends } from './keychain/child.ts';
import { createKeychainStore, type KeychainStore } from './keychain/keychain-store.ts';
import { createMemoryStore } from './memory-store.ts';
import { placed, recorded } from './placed.ts';
import type { StoreKind, Vault } from './vault.ts';

export interface VaultOptions {
  /** `undefined`: the keychain, or encrypted files where there is none and nothing of ours was ever in one. */
  readonly store: StoreKind | undefined;
  readonly configDir: string;
  readonly passphrase: Secret | undefined;
  readonly log: Log;
  /** Limit of every operation on the keychain. Milliseconds: 10 s in the bridge, 60 s where a person sits. */
  readonly waitMs: number;
  readonly index: IndexFile;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Makes a variable visible to native code in this process. */
  readonly setEnvironment?: (name: string, value: string) => void;
  readonly platform?: NodeJS.Platform;
  /** Stands in for the native bindings. */
  readonly backends?: readonly KeychainBackend[];
  /** Limit of one keychain entry, bytes. Default: 2,560 on Windows (CRED_MAX_CREDENTIAL_BLOB_SIZE), else none. */
  readonly maxEntryBytes?: number;
}

/**
 * Opens the vault that the settings ask for.
 *
 * The keychain is touched here only when it has to be found out whether there is one. A keychain that is locked
 * or slow is still the one to use: the vault's methods then say so. Throws AppError `vault_failed` when our own
 * folder cannot be read.
 */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { store, configDir, passphrase, log, index } = options;
  if (store === 'memory') return createMemoryStore();
  const { keychain, noBus } = openKeychain(options);
  const files = recorded(createFileStore(configDir, passphrase), index);
  const inFiles = placed(files, keychain, { places: index, log, follow: false });
  const inKeychain = placed(keychain, files, { places: index, log, follow: store === undefined });
  if (store === 'keychain') return inKeychain;
  if (store === 'file') {
    if (!passphrase)
      log.info('without MCP_WHOAMI_PASSPHRASE an encrypted file protects less than a keychain');
    return inFiles;
  }
  const known = [...(await index.places()).values()];
  if (known.some((place) => place.store === 'keychain')) return inKeychain;
  const reason = noBus ? 'there is no D-Bus session bus' : await absence(keychain);
  if (!reason) return inKeychain;
  log.warn('no keychain here: secrets go to encrypted files, which protect less', { in: configDir, reason });
  return inFiles;
}

function openKeychain(options: VaultOptions): { readonly keychain: KeychainStore; readonly noBus: boolean } {
  const { platform = process.platform, log, index, waitMs } = options;
  const uid = process.getuid?.();
  const machine = { platform, environment: options.environment, uid, exists: existsSync };
  const found = missingSessionVariables(machine);
  for (const [name, value] of Object.entries(found)) options.setEnvironment?.(name, value);
  const environment = { ...options.environment, ...found };
  // An Electron program that runs us would start itself again as the child.
  const native = () => (process.versions.electron ? nativeBackends() : childBackends(environment));
  const keychain = createKeychainStore({
    backends: options.backends ?? native(),
    places: index,
    waitMs,
    maxEntryBytes: options.maxEntryBytes ?? (platform === 'win32' ? 2_560 : Number.POSITIVE_INFINITY),
    description: descriptions[platform] ?? 'the keychain (Secret Service)',
    log,
  });
  // Without an address the bindings would only try to start a bus by way of X11.
  const reachable = environment.DBUS_SESSION_BUS_ADDRESS || environment.DISPLAY;
  return { keychain, noBus: !options.backends && platform === 'linux' && !reachable };
}

const descriptions: Partial<Record<NodeJS.Platform, string>> = {
  darwin: 'the keychain (macOS Keychain)',
  win32: 'the keychain (Windows Credential Manager)',
};

/** Why there is no keychain; `undefined` when there is one, be it locked. */
async function absence(keychain: KeychainStore): Promise<string | undefined> {
  try {
    await keychain.check();
    return undefined;
  } catch (error) {
    return error instanceof AppError && error.code === 'keychain_unavailable'
      ? reasonOf(error.cause)
      : undefined;
  }
}
