import type { Secret } from '../lib/secret.ts';

export const storeKinds = ['keychain', 'file', 'memory'] as const;
export type StoreKind = (typeof storeKinds)[number];

/**
 * Where secrets live. One entry a key; the value is opaque text of any length.
 *
 * Every method throws AppError: `keychain_locked` (it exists, but is locked, slow, or lost what our index knows
 * of), `keychain_unavailable` (there is none), `vault_failed` (anything else). Nothing waits without a limit.
 */
export interface Vault {
  readonly kind: StoreKind;
  /** For `status` and messages: "the keychain (Secret Service, keytar)", "the encrypted file /…". */
  readonly description: string;
  load(key: string): Promise<Secret | undefined>;
  save(key: string, value: Secret): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Mutual exclusion between processes of one user. Released by the operating system when a holder dies. */
export interface Lock {
  release(): Promise<void>;
}

export interface Locks {
  /** Waits for the lock at most `timeoutMs`, then throws AppError `lock_timeout`. */
  acquire(name: string, timeoutMs: number): Promise<Lock>;
  /** The lock, or `undefined` when somebody else holds it. */
  tryAcquire(name: string): Promise<Lock | undefined>;
}
