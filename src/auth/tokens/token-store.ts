import { commandLine } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import { entryKey } from '../../vault/key.ts';
import type { SignInEdges } from '../edges.ts';
import type { DisplayIdentity } from './identity.ts';
import { parseTokenSet, printTokenSet, type TokenSet } from './token-set.ts';

/** The token set of one server and profile: in the vault, with an index entry without secrets beside it. */
export interface TokenStore {
  readonly key: string;
  /** The set kept; undefined when nobody is signed in. Throws what the vault throws. */
  load(): Promise<TokenSet | undefined>;
  /** Replaces the set. In: `identity`, known at a sign-in; a refresh keeps the one before. */
  save(set: TokenSet, identity?: DisplayIdentity): Promise<void>;
  forget(): Promise<void>;
  /** Runs `change` while no other process changes this set. Throws AppError `lock_timeout`. */
  alone<T>(change: () => Promise<T>): Promise<T>;
}

/** Longer than a token request may take. */
const lockMs = 30_000;

export interface Whose {
  readonly server: URL;
  readonly profile: string;
}

export function openTokenStore(
  { vault, index, locks }: Pick<SignInEdges, 'vault' | 'index' | 'locks'>,
  { server, profile }: Whose,
): TokenStore {
  const key = entryKey({ resource: server, profile });
  // A vault in memory is this process's own: the index is for all.
  const indexed = vault.kind !== 'memory';

  return {
    key,
    async load() {
      // Where nothing was ever kept, the keychain is left in peace.
      if (indexed && !(await index.get(key))) return undefined;
      const text = await vault.load(key);
      if (!text) return undefined;
      const set = parseTokenSet(text);
      if (set) return set;
      throw new AppError('vault_failed', `what is kept for ${server.href} cannot be read`, {
        hint: `sign in again: ${commandLine('login', { server, profile })}`,
      });
    },
    async save(set, identity) {
      await vault.save(key, printTokenSet(set));
      if (!indexed) return;
      const before = identity ?? (await index.get(key));
      await index.put({
        key,
        server: server.href,
        profile,
        issuer: set.issuer,
        clientId: set.client.id,
        subject: before?.subject,
        name: before?.name,
        scopes: set.scope.split(' ').filter(Boolean),
        expiresAt: set.lifetimeMs === undefined ? undefined : set.receivedAt + set.lifetimeMs,
        renewable: set.refreshToken !== undefined || set.clientGrant !== undefined,
        asClient: set.clientGrant !== undefined || undefined,
        dead: set.dead || undefined,
        store: vault.kind,
        savedAt: set.signedInAt,
      });
    },
    async forget() {
      await vault.remove(key);
      if (indexed) await index.remove(key);
    },
    async alone(change) {
      const lock = await locks.acquire(`tokens-${key}`, lockMs);
      try {
        return await change();
      } finally {
        await lock.release();
      }
    },
  };
}
