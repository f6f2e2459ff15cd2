import type { LetIn } from './admission.ts';
import { remember } from './identity.ts';
import type { AuthInfo } from './types.ts';

/** Who is calling, for the SDK. In: the token, where the server wants it; the requests that tell it as well. */
export function introduce(
  { principal: { identity }, resource }: LetIn,
  token: string,
  ...requests: readonly object[]
): AuthInfo {
  const { issuer, subject, clientId = '', scopes, expiresAt, claims } = identity;
  const authInfo: AuthInfo = {
    token,
    clientId,
    scopes: [...scopes],
    ...(expiresAt === undefined ? {} : { expiresAt }),
    resource,
    extra: { issuer, subject, claims },
  };
  remember(identity, [authInfo, ...requests]);
  return authInfo;
}
