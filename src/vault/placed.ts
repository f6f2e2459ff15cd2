import type { Log } from '../lib/log.ts';
import type { Places } from './index-file.ts';
import type { Vault } from './vault.ts';

/** A vault that notes in the index which entries it holds. */
export function recorded(vault: Vault & { readonly kind: 'file' }, places: Places): Vault {
  const holds = async (key: string) => (await places.place(key))?.store === vault.kind;
  return {
    ...vault,
    async save(key, value) {
      await vault.save(key, value);
      if (!(await holds(key))) await places.setPlace(key, { store: vault.kind });
    },
    async remove(key) {
      await vault.remove(key);
      if (await holds(key)) await places.setPlace(key, undefined);
    },
  };
}

interface PlacedOptions {
  readonly places: Places;
  readonly log: Log;
  /** Read an entry from the other vault while it is still there. */
  readonly follow: boolean;
}

/**
 * `main`, with an eye on entries that an earlier choice left in `other`: they are found (if `follow`), moved by
 * the next save, and removed with the rest, so that no copy of a secret is forgotten.
 */
export function placed(main: Vault, other: Vault, { places, log, follow }: PlacedOptions): Vault {
  const isElsewhere = async (key: string) => (await places.place(key))?.store === other.kind;
  return {
    kind: main.kind,
    description: main.description,
    load: async (key) => (follow && (await isElsewhere(key)) ? other.load(key) : main.load(key)),
    async save(key, value) {
      const moves = await isElsewhere(key);
      await main.save(key, value);
      if (moves) {
        await other.remove(key).catch((reason) => {
          log.warn(`an old copy could not be removed from ${other.description}`, { reason });
        });
      }
    },
    remove: async (key) => ((await isElsewhere(key)) ? other.remove(key) : main.remove(key)),
  };
}
