import type { Identity } from '../../lib/identity.ts';

/** Somebody whose token was accepted. Shared by all requests with that token, never changed. */
export interface Principal {
  readonly identity: Identity;
  /** Whom a session belongs to. */
  readonly user: string;
}

export function createPrincipal(identity: Identity): Principal {
  return { identity, user: userOf(identity) };
}

/** Issuer and subject as one text, so that two issuers' users never meet. */
export function userOf({ issuer, subject }: Identity): string {
  return JSON.stringify([issuer, subject]);
}
