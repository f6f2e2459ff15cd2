import type { Secret } from '../../lib/secret.ts';

/** How a client proves itself at the token endpoint (RFC 7591 2). */
export const clientAuthMethods = ['none', 'client_secret_post', 'client_secret_basic'] as const;
export type ClientAuthMethod = (typeof clientAuthMethods)[number];

/** We, as one authorization server knows us. */
export interface Client {
  readonly id: string;
  readonly secret: Secret | undefined;
  readonly authMethod: ClientAuthMethod;
  /** Registered dynamically: can be registered anew when the server forgot it. */
  readonly dynamic: boolean;
  /** Its registration says that it pushes its authorization requests (RFC 9126 6). */
  readonly pushesRequests?: boolean;
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
  const known = clientAuthMethods.find((method) => method === told);
  if (known) return known;
  return listed?.includes('client_secret_post') ? 'client_secret_post' : 'client_secret_basic';
}
