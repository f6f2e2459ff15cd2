import type { Secret } from '../lib/secret.ts';
import type { Vault } from './vault.ts';

/** A vault that forgets everything when the process ends. */
export function createMemoryStore(): Vault {
  const entries = new Map<string, Secret>();
  return {
    kind: 'memory',
    description: 'the memory of this process',
    load: async (key) => entries.get(key),
    save: async (key, value) => {
      entries.set(key, value);
    },
    remove: async (key) => {
      entries.delete(key);
    },
  };
}
