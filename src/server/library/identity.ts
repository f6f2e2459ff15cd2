import { AppError } from '../../lib/errors.ts';
import type { Identity } from '../../lib/identity.ts';

/** Nobody can make one up: an object is in here because a gate has let it in. */
const identities = new WeakMap<object, Identity>();

/**
 * Who sent a request that a gate has let in. In: the request (Node's, Express', fetch's), or what the SDK hands to a
 * tool, `extra.authInfo`. Throws an error with `code` `usage` when no gate has let it in.
 */
export function identityOf(carrier: object | undefined): Identity {
  const identity = carrier && identities.get(carrier);
  if (identity) return identity;
  throw new AppError('usage', 'no gate has let this request in, so that nobody knows who sent it', {
    hint: 'put the gate in front of what asks who is calling',
  });
}

/** In: the objects that tell from now on who it is. */
export function remember(identity: Identity, carriers: readonly object[]): void {
  for (const carrier of carriers) identities.set(carrier, identity);
}
