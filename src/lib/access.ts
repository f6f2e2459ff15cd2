import { Secret } from './secret.ts';

/** Makes the proofs of possession of one key (DPoP, RFC 9449). Implemented by `auth/dpop/prover.ts`. */
export interface Proofs {
  /** The proof for one request that carries `token`: each serves once. */
  prove(method: string, url: URL, token: Secret): Promise<string>;
  /** In: the nonce that came with an answer from `url`, for the next proof. */
  heard(url: URL, nonce: string | undefined): void;
}

/**
 * An access token that is bound to a key: of no use but with a proof, made for each request. Any other `Secret` that
 * stands for an access token is a Bearer token (RFC 6750).
 */
export class BoundToken extends Secret {
  readonly #proofs: Proofs;

  constructor(token: Secret, proofs: Proofs) {
    super(token.reveal());
    this.#proofs = proofs;
  }

  /** What a request has to carry. Made anew for each, also when it is the same once more. */
  async headersFor(
    method: string,
    url: URL,
  ): Promise<{ readonly authorization: string; readonly dpop: string }> {
    const dpop = await this.#proofs.prove(method, url, this);
    return { authorization: `DPoP ${this.reveal()}`, dpop };
  }

  /** Takes note of the nonce that an answer brought along (RFC 9449 9). */
  heard(url: URL, nonce: string | string[] | undefined): void {
    this.#proofs.heard(url, typeof nonce === 'string' ? nonce : undefined);
  }
}

/**
 * "Something that gives access tokens": what the bridge is handed. Implemented by `auth/session.ts` for a
 * person's sign-in and by `cli` for a token given by hand.
 */
export interface AccessTokens {
  /**
   * The access token to send now, a Bearer token or a `BoundToken`: read, or refreshed when it is about to expire.
   * `undefined` when nobody has signed in (the server may not want a token at all).
   *
   * Throws AppError: `keychain_locked`, `keychain_unavailable`, `vault_failed`, `issuer_unreachable`.
   */
  current(): Promise<Secret | undefined>;

  /**
   * The server refused `rejected` with a 401. Out: another token, refreshed once for all processes.
   *
   * Throws AppError: `not_signed_in` (nobody is, or the refresh was refused for good), `token_rejected` (a
   * token given by hand), `issuer_unreachable` (try later), and those of `current`.
   */
  renew(rejected: Secret | undefined): Promise<Secret>;

  /**
   * The server says that `token` may not do this (403 `insufficient_scope`, RFC 6750 3.1). Out: what it was
   * granted, and whether a sign-in, here or in another process, has replaced it meanwhile by one that `current`
   * gives from now on.
   *
   * Throws AppError: those of `current`.
   */
  insufficient(token: Secret): Promise<Granted>;
}

export interface Granted {
  readonly replaced: boolean;
  readonly scopes: readonly string[];
}

/** One sign-in under way, started by the bridge for a call that needs it. */
export interface SignInAttempt {
  /** The authorization URL to show or open; `undefined` while another process owns the browser window. */
  readonly url: string | undefined;
  /** Opens the system's browser at `url`. Out: whether a browser could be started. */
  openBrowser(): Promise<boolean>;
  /** Settles when the sign-in does. Rejects with AppError: `sign_in_denied`, `sign_in_timeout` ... */
  readonly completed: Promise<void>;
  /** The person does not want it: listener closed, nothing kept, no window for anybody in the next 30 s. */
  cancel(): void;
  /** This process ends, the sign-in need not: another process may take it over on the same port. */
  leave?(): void;
}

/** "Something that can sign a person in": what the bridge is handed. */
export interface SignIn {
  /**
   * Starts a sign-in, or joins the one under way in this process or another one. In: `scope`, what the server
   * asks for on top of what was granted before (step-up).
   *
   * Throws AppError: `issuer_unreachable`, `metadata_invalid`, `registration_failed`, `sign_in_denied` (within
   * the pause after a person cancelled) ...
   */
  start(scope?: string): Promise<SignInAttempt>;
}
