import type { Identity } from '../../lib/access.ts';
import { type ToolResult, whoamiResult } from '../whoami.ts';

/** Somebody whose token was accepted. Shared by all requests with that token, never changed. */
export interface Principal {
  readonly identity: Identity;
  /** Whom a session belongs to: issuer and subject, so that two issuers' users never meet. */
  readonly user: string;
  /** Whether `identity.scopes` is what the token grants; false when the method of verification cannot tell. */
  readonly scopesKnown: boolean;
  whoami(): ToolResult;
}

export function createPrincipal(identity: Identity, scopesKnown: boolean): Principal {
  let result: ToolResult | undefined;
  return {
    identity,
    user: JSON.stringify([identity.issuer, identity.subject]),
    scopesKnown,
    whoami: () => {
      result ??= whoamiResult(identity);
      return result;
    },
  };
}
