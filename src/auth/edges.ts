import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { Index } from '../vault/index-file.ts';
import type { Locks, Vault } from '../vault/vault.ts';

/** All that a sign-in touches outside this room. */
export interface SignInEdges {
  readonly http: HttpClient;
  readonly vault: Vault;
  readonly index: Index;
  readonly locks: Locks;
  readonly log: Log;
  /** Wall clock. Milliseconds since the epoch. */
  now(): number;
  /** A clock that only goes forward. Milliseconds. Default: `performance.now`. */
  monotonic?(): number;
  /** Opens the system's browser. Out: whether one could be started. */
  openBrowser(url: string): Promise<boolean>;
  /** Asks the person for the secret of a client. Absent: nobody is to be asked. */
  askClientSecret?(clientId: string, issuer: string): Promise<Secret>;
  /** Folder of `registrations.json`. */
  readonly configDir: string;
}
