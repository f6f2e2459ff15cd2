import { createHash, randomUUID } from 'node:crypto';
import type * as Jose from 'jose';
import type * as Library from 'openid-client';
import type { Proofs } from '../../lib/access.ts';
import { parseJsonObject } from '../../lib/json.ts';
import type { DpopKey } from './key.ts';

/** Proves the possession of one key, to the resource and to the authorization server. */
export interface Prover extends Proofs {
  readonly key: DpopKey;
  /** The JWK thumbprint (RFC 7638) that tokens are bound to: `dpop_jkt` of the authorization request. */
  thumbprint(): Promise<string>;
  /** The same for the OAuth library, which has nonces of its own: those of the authorization server. */
  handle(library: typeof Library, configuration: Library.Configuration): Promise<Library.DPoPHandle>;
}

interface Opened {
  readonly jose: typeof Jose;
  readonly privateKey: Jose.CryptoKey;
  readonly publicKey: Jose.CryptoKey;
  readonly publicJwk: Jose.JWK;
}

/** In: `now`, the wall clock, milliseconds since the epoch. The key is read, and the library for it loaded, at the first use. */
export function createProver(key: DpopKey, now: () => number): Prover {
  /** By origin: the latest that the server gave out (RFC 9449 8.2, 9). */
  const nonces = new Map<string, string>();
  let opening: Promise<Opened> | undefined;
  let handle: Library.DPoPHandle | undefined;
  const opened = () => {
    opening ??= open(key);
    return opening;
  };

  return {
    key,
    async prove(method, url, token) {
      const { jose, privateKey, publicJwk } = await opened();
      const nonce = nonces.get(url.origin);
      // RFC 9449 4.2: the target without query and fragment, and the token that it goes with.
      return new jose.SignJWT({
        jti: randomUUID(),
        htm: method,
        htu: `${url.origin}${url.pathname}`,
        ath: createHash('sha256').update(token.reveal()).digest('base64url'),
        ...(nonce === undefined ? {} : { nonce }),
      })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: key.algorithm, jwk: publicJwk })
        .setIssuedAt(Math.floor(now() / 1000))
        .sign(privateKey);
    },
    heard(url, nonce) {
      if (isNonce(nonce)) nonces.set(url.origin, nonce);
    },
    async thumbprint() {
      const { jose, publicJwk } = await opened();
      return jose.calculateJwkThumbprint(publicJwk);
    },
    async handle(library, configuration) {
      const { privateKey, publicKey } = await opened();
      handle ??= library.getDPoPHandle(configuration, { privateKey, publicKey });
      return handle;
    },
  };
}

async function open(key: DpopKey): Promise<Opened> {
  const jose = await import('jose');
  const jwk: Jose.JWK = parseJsonObject(key.jwk.reveal(), 'the vault', 'remote_error');
  const { kty, crv, x, y, n, e, ...secret } = jwk;
  const members = kty === 'EC' ? { kty, crv, x, y } : { kty, n, e };
  const publicJwk = members as Jose.JWK;
  const [privateKey, publicKey] = await Promise.all([
    jose.importJWK({ ...publicJwk, ...secret }, key.algorithm),
    jose.importJWK(publicJwk, key.algorithm, { extractable: true }),
  ]);
  return {
    jose,
    publicJwk,
    privateKey: privateKey as Jose.CryptoKey,
    publicKey: publicKey as Jose.CryptoKey,
  };
}

/** RFC 9449 8.1, and no longer than a header of ours can carry. */
export function isNonce(text: string | undefined): text is string {
  return text !== undefined && /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/.test(text);
}
