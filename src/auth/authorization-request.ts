import type { Secret } from '../lib/secret.ts';
import type { Client } from './client/client.ts';
import type { AuthorizationServer } from './discovery/issuer-metadata.ts';
import type { Binding } from './dpop/binding.ts';

/** What is kept of a request that the issuer has been told beforehand, to tell it once more. */
export interface Pushed {
  readonly parameters: Readonly<Record<string, string>>;
  /** How long its address may be opened. Milliseconds. */
  readonly lifetimeMs: number;
  /** Wall clock, milliseconds since the epoch. */
  readonly until: number;
}

/**
 * One authorization request: what the browser was sent off with, and what its answer is held against. All of
 * it is fixed before the browser opens (RFC 9700 4.4: issuer and token endpoint belong to the state).
 */
export interface AuthorizationRequest {
  /** The authorization URL. */
  readonly url: string;
  /** The issuer was told beforehand what is asked for: the URL only names it, and is short-lived. */
  readonly pushed: Pushed | undefined;
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: Secret;
  /** With `openid` only. */
  readonly nonce: string | undefined;
  /** Asked for; undefined: the parameter was left out. */
  readonly scope: string | undefined;
  readonly resource: string | undefined;
  /** What the tokens are to be bound to; undefined: Bearer tokens. */
  readonly binding: Binding | undefined;
  readonly server: AuthorizationServer;
  readonly client: Client;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
}

/** What tokens are asked for, of whom, by whom: the same for every grant. */
export type Asked = Pick<AuthorizationRequest, 'scope' | 'resource' | 'binding' | 'server' | 'client'>;
