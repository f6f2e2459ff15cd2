import { AppError } from '../../lib/errors.ts';
import type { Secret } from '../../lib/secret.ts';

/** How a client proves itself at the token endpoint (RFC 7591 2, OpenID Connect Core 9). */
export const clientAuthMethods = [
  'none',
  'client_secret_post',
  'client_secret_basic',
  'private_key_jwt',
] as const;
export type ClientAuthMethod = (typeof clientAuthMethods)[number];

export const readings = ['raw', 'endpoint'] as const;
export type Reading = (typeof readings)[number];

/** A client's private key by its place: the key itself stays in its file. */
export interface KeyReference {
  /** Absolute. */
  readonly file: string;
  /** The signature algorithm (RFC 7518 3.1) that its server was found to take. */
  readonly algorithm: string;
}

/** We, as one authorization server knows us. */
export interface Client {
  readonly id: string;
  readonly secret: Secret | undefined;
  readonly authMethod: ClientAuthMethod;
  /** With `private_key_jwt` alone. */
  readonly key?: KeyReference | undefined;
  /**
   * How the server turned out to read it: Basic without the encoding of RFC 6749 2.3.1, or an assertion for the
   * endpoint that it is sent to. Undefined: as the standards have it.
   */
  readonly reading?: Reading | undefined;
  /** Registered dynamically: can be registered anew when the server forgot it. */
  readonly dynamic: boolean;
  /** Its registration says that it pushes its authorization requests (RFC 9126 6). */
  readonly pushesRequests?: boolean;
  /** Its registration says that all its tokens are bound to a key (RFC 9449 5.2). */
  readonly bindsTokens?: boolean;
}

/**
 * How to send a secret. In: the method of the registration's answer, if it said one, and the methods that the
 * server's metadata lists. `client_secret_post` is preferred: servers disagree on how Basic is encoded.
 */
export function authMethodFor(
  secret: Secret | undefined,
  told: string | undefined,
  listed: readonly string[] | undefined,
): ClientAuthMethod {
  if (!secret) return 'none';
  if (told === 'client_secret_post' || told === 'client_secret_basic') return told;
  return listed?.includes('client_secret_post') ? 'client_secret_post' : 'client_secret_basic';
}

const longestClientId = 2 * 1024;

/** Throws AppError `registration_failed` for an id that could break out of a request. */
export function checkClientId(id: string): string {
  if (id.length <= longestClientId && /^[\x20-\x7e]+$/.test(id)) return id;
  throw new AppError('registration_failed', 'the client id is too long, or not visible ASCII', {
    hint: 'register a native client at the provider, and give its id with --client-id',
  });
}
