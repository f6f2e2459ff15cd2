import { type JsonObject, stringMember, stringsMember } from '../lib/json.ts';
import { type StoreKind, storeKinds } from './vault.ts';

/** The two native bindings to the system's keychain. */
export const bindingNames = ['keytar', 'napi'] as const;
export type BindingName = (typeof bindingNames)[number];

/** One sign-in, as far as it is no secret. Times in milliseconds since the epoch. */
export interface IndexEntry {
  readonly key: string;
  readonly server: string;
  readonly profile: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly subject?: string | undefined;
  readonly name?: string | undefined;
  readonly scopes: readonly string[];
  /** When the access token expires; absent when the issuer did not say. */
  readonly expiresAt?: number | undefined;
  /** There is a refresh token, or the client gets tokens of its own. */
  readonly renewable: boolean;
  /** The tokens are the client's own: no person signed in (RFC 6749 4.4). */
  readonly asClient?: boolean | undefined;
  /** The issuer refused the refresh for good: only a new sign-in helps. */
  readonly dead?: boolean | undefined;
  readonly store: StoreKind;
  /** Which binding wrote it into the keychain. Told by the vault: what `put` is given here is not kept. */
  readonly binding?: BindingName | undefined;
  readonly savedAt: number;
}

/** Where one vault entry is kept. */
export interface Place {
  readonly store: Exclude<StoreKind, 'memory'>;
  /** The binding that wrote it: the two do not see each other's entries everywhere. */
  readonly binding?: BindingName;
  /** Generations of parts that an interrupted change may have left; the next change sweeps them. */
  readonly begun?: readonly string[];
}

/** A sign-in read from the file; `undefined` when it lacks what every entry has. */
export function readEntry(key: string, from: JsonObject): IndexEntry | undefined {
  const text = (name: string) => stringMember(from, name);
  const time = (name: string) => {
    const value = from[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
  const [server, profile, issuer, clientId] = [
    text('server'),
    text('profile'),
    text('issuer'),
    text('clientId'),
  ];
  const store = storeKinds.find((kind) => kind === from.store);
  if (!server || !profile || !issuer || !clientId || !store) return undefined;
  return {
    key,
    server,
    profile,
    issuer,
    clientId,
    subject: text('subject'),
    name: text('name'),
    scopes: stringsMember(from, 'scopes') ?? [],
    expiresAt: time('expiresAt'),
    renewable: from.renewable === true,
    asClient: from.asClient === true ? true : undefined,
    dead: from.dead === true ? true : undefined,
    store,
    savedAt: time('savedAt') ?? 0,
  };
}

export function readPlace(from: JsonObject): Place | undefined {
  if (from.store !== 'keychain' && from.store !== 'file') return undefined;
  const binding = bindingNames.find((name) => name === from.binding);
  const begun = stringsMember(from, 'begun');
  return { store: from.store, ...(binding ? { binding } : {}), ...(begun ? { begun } : {}) };
}
