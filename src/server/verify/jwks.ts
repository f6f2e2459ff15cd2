import { AppError } from '../../lib/errors.ts';
import { isObject, type JsonObject, parseJsonObject } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import { describeNetworkError, networkHint } from '../../lib/network-error.ts';
import type { ProviderReader } from '../provider/reader.ts';

/** Times in milliseconds. */
const refreshAfter = 10 * 60_000;
const waitForFreshAfter = 60 * 60_000;
const unusableAfter = 24 * 60 * 60_000;
const cooldown = 30_000;
const retryAfterFailure = 1_000;
const maxKeys = 64;

/** The kinds of key that an algorithm can be used with (RFC 7518 3.1, RFC 8037). Nothing else is accepted. */
const keyTypes: Readonly<Record<string, { readonly kty: string; readonly crv?: string }>> = {
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  ES384: { kty: 'EC', crv: 'P-384' },
  ES512: { kty: 'EC', crv: 'P-521' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
};

export function isAcceptedAlgorithm(alg: unknown): alg is string {
  return typeof alg === 'string' && Object.hasOwn(keyTypes, alg);
}

/** The provider's signing keys (RFC 7517 5). */
export interface KeySet {
  readonly url: URL;
  /**
   * The keys that may have signed a token with this header. Empty: certainly none.
   *
   * Throws AppError `issuer_unreachable` when the keys are not known and cannot be fetched now.
   */
  candidates(kid: string | undefined, alg: string): Promise<readonly JsonObject[]>;
  /** Fetches the keys. Throws AppError `issuer_unreachable`. */
  load(): Promise<void>;
  loaded(): boolean;
  /** Time since they were fetched; `undefined` before. Milliseconds. */
  ageMs(): number | undefined;
}

export interface KeySetOptions {
  readonly url: URL;
  readonly reader: ProviderReader;
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Keys are renewed in the background after 10 min and serve for up to 24 h while the provider fails; a key that
 * it removed is gone with its next good answer. An unknown `kid` costs one fetch in 30 s, however many come.
 */
export function createKeySet({ url, reader, log, now }: KeySetOptions): KeySet {
  let keys: readonly JsonObject[] | undefined;
  let fetchedAt = 0;
  let failure: { readonly error: AppError; readonly at: number } | undefined;
  let strangerAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;

  function load(): Promise<void> {
    running ??= fetchKeys(url, reader)
      .then(
        (found) => {
          keys = found;
          fetchedAt = now();
          failure = undefined;
        },
        (error: AppError) => {
          failure = { error, at: now() };
          throw error;
        },
      )
      .finally(() => {
        running = undefined;
      });
    return running;
  }

  /** `load` for a caller that can do without. */
  async function tryToLoad(): Promise<void> {
    if (failure && now() - failure.at < cooldown) return;
    await load().catch((error: unknown) => log.warn('old signing keys stay in use', { error }));
  }

  async function keepFresh(): Promise<readonly JsonObject[]> {
    const age = now() - fetchedAt;
    if (!keys || age > unusableAfter) {
      if (!running && failure && now() - failure.at < retryAfterFailure) throw failure.error;
      await load();
    } else if (age > waitForFreshAfter) await tryToLoad();
    else if (age > refreshAfter) void tryToLoad();
    return keys ?? [];
  }

  return {
    url,
    async candidates(kid, alg) {
      let found = matching(await keepFresh(), kid, alg);
      if (found.length > 0) return found;
      if (now() - strangerAt >= cooldown) {
        strangerAt = now();
        await load();
        found = matching(keys ?? [], kid, alg);
      } else if (running) {
        await running;
        found = matching(keys ?? [], kid, alg);
      } else if (failure) throw failure.error;
      return found.length > 0 ? found : nameless(keys ?? [], alg);
    },
    load,
    loaded: () => keys !== undefined,
    ageMs: () => (keys ? now() - fetchedAt : undefined),
  };
}

/** Keys of that name; every key for a token that names none. */
function matching(keys: readonly JsonObject[], kid: string | undefined, alg: string): readonly JsonObject[] {
  return keys.filter((key) => fits(key, alg) && (kid === undefined || key.kid === kid));
}

/** A provider with nameless keys may still name one in its tokens. */
function nameless(keys: readonly JsonObject[], alg: string): readonly JsonObject[] {
  return keys.filter((key) => fits(key, alg) && key.kid === undefined);
}

function fits(key: JsonObject, alg: string): boolean {
  const type = keyTypes[alg];
  return (
    type !== undefined &&
    key.kty === type.kty &&
    (type.crv === undefined || key.crv === type.crv) &&
    (key.alg === undefined || key.alg === alg) &&
    (key.use === undefined || key.use === 'sig') &&
    (!Array.isArray(key.key_ops) || key.key_ops.includes('verify')) &&
    key.d === undefined
  );
}

async function fetchKeys(url: URL, reader: ProviderReader): Promise<readonly JsonObject[]> {
  try {
    const { status, body } = await reader.read('jwks', url, {
      headers: { accept: 'application/jwk-set+json, application/json' },
    });
    if (status !== 200) throw new AppError('remote_error', `it answered ${status}`);
    const { keys } = parseJsonObject(body, url.href, 'remote_error');
    if (!Array.isArray(keys)) throw new AppError('remote_error', 'the answer has no keys');
    return keys.slice(0, maxKeys).filter(isObject);
  } catch (cause) {
    throw new AppError(
      'issuer_unreachable',
      `the signing keys at ${url.href} cannot be read: ${describeNetworkError(cause, url)}`,
      { cause, hint: networkHint(cause) },
    );
  }
}
