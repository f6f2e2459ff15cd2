import { createHash } from 'node:crypto';
import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type { Log } from '../lib/log.ts';
import { openStore, type Payload, type Store } from './store.ts';

/** Most entries of each kind: whoever can reach the port can make us remember only so much. */
const limits: Readonly<Record<string, number>> = {
  Client: 1_000,
  Grant: 2_000,
  AccessToken: 2_000,
  RefreshToken: 2_000,
};
const otherLimit = 500;

/** The largest registration kept, as JSON. Characters. */
export const maxClientMetadata = 16 * 1024;

/** Opens the store with the limits of an authorization server: what nobody uses makes room first. */
export function openProviderStore(file: string, log: Log): Promise<Store> {
  return openStore({
    file,
    log,
    limit: (model) => limits[model] ?? otherLimit,
    expendable: (model, store) => {
      if (model !== 'Client') return (_id, payload) => payload.consumed !== undefined;
      const inUse = new Set<unknown>();
      store.find('Grant', (grant) => {
        inUse.add(grant.clientId);
        return false;
      });
      return (id) => !inUse.has(id);
    },
  });
}

/**
 * The protocol library's way to the store: one adapter for each of its models.
 *
 * In: how to refuse a registration that is too large (an error of the library's own kind).
 */
export function createAdapters(store: Store, clientTooLarge: () => Error): AdapterFactory {
  return (model): Adapter => (bearer.has(model) ? hashed(adapterOf(model)) : adapterOf(model));

  function adapterOf(model: string): Adapter {
    return {
      async upsert(id, payload, seconds) {
        if (model === 'Client' && JSON.stringify(payload).length > maxClientMetadata) throw clientTooLarge();
        store.put(model, id, payload as Payload, seconds);
      },
      async find(id) {
        return store.get(model, id) as AdapterPayload | undefined;
      },
      async findByUserCode(userCode) {
        return store.find(model, (payload) => payload.userCode === userCode) as AdapterPayload | undefined;
      },
      async findByUid(uid) {
        return store.find(model, (payload) => payload.uid === uid) as AdapterPayload | undefined;
      },
      async consume(id) {
        const payload = store.get(model, id);
        if (!payload) return;
        payload.consumed = Math.floor(Date.now() / 1000);
        store.changed();
      },
      async destroy(id) {
        store.remove(model, id);
      },
      async revokeByGrantId(grantId) {
        store.removeWhere(model, (payload) => payload.grantId === grantId);
      },
    };
  }
}

/** Models whose id is the secret itself, and which nothing but that secret finds. */
const bearer: ReadonlySet<string> = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken']);

/** Keeps the hash of an id only: whoever reads the file of the store holds no token. */
function hashed(inner: Adapter): Adapter {
  const hash = (id: string) => createHash('sha256').update(id).digest('base64url');
  return {
    ...inner,
    upsert: (id, payload, seconds) => inner.upsert(hash(id), { ...payload, jti: hash(id) }, seconds),
    async find(id) {
      const payload = await inner.find(hash(id));
      return payload && { ...payload, jti: id };
    },
    consume: (id) => inner.consume(hash(id)),
    destroy: (id) => inner.destroy(hash(id)),
  };
}
