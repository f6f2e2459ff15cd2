import type { Secret } from '../lib/secret.ts';

export const storeKinds = ['keychain', 'file', 'memory'] as const;
export type StoreKind = (typeof storeKinds)[number];

/**
 * Where secrets live. One entry a key; the value is opaque text of any length. Nothing is remembered in between:
 * every `load` sees what another process saved last.
 *
 * Every method throws AppError: `keychain_locked` (it exists, but is locked, slow, or lost what our index knows
 * of), `keychain_unavailable` (there is none), `vault_failed` (anything else). Nothing waits without a limit.
 */
export interface Vault {
  /** Where `save` puts things. */
  readonly kind: StoreKind;
  /** For `status` and messages: "the keychain (Secret Service)", "the encrypted file /…". */
  readonly description: string;
  /** `undefined`: nothing is stored, for certain. A locked keychain is an error, never `undefined`. */
  load(key: string): Promise<Secret | undefined>;
  /** Replaces the entry whole; after a crash at any point the old or the new value is there. */
  save(key: string, value: Secret): Promise<void>;
  /** Does nothing when there is no such entry. */
  remove(key: string): Promise<void>;
}

/** Mutual exclusion between processes of one user. Released by the operating system when a holder dies. */
export interface Lock {
  /** Lets the next one in. Calling it again does nothing. */
  release(): Promise<void>;
}

export interface Locks {
  /** Waits for the lock at most `timeoutMs`, then throws AppError `lock_timeout`. Not re-entrant. */
  acquire(name: string, timeoutMs: number): Promise<Lock>;
  /** The lock, or `undefined` when somebody else holds it. */
  tryAcquire(name: string): Promise<Lock | undefined>;
}
