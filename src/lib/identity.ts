/** Who is calling, as an access token proves it. Made by `server/verify`, shown by the `whoami` tool. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
  readonly clientId: string | undefined;
  readonly scopes: readonly string[];
  /** Seconds since the epoch; `undefined` when the method of verification does not tell. */
  readonly expiresAt: number | undefined;
  /** What `whoami` shows; `sub` and `iss` are always in it. Never a token. */
  readonly claims: Readonly<Record<string, unknown>>;
}
