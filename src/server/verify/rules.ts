import type { IssuerRules } from '../../lib/settings.ts';
import { tokenClaims } from './jwt-claims.ts';

/** Which ways of verification the rules of one issuer leave open, whatever its metadata offers. */

export const mayVerifyJwt = ({ verify }: IssuerRules) => verify === 'auto' || verify === 'jwt';

export const mayIntrospect = ({ verify, introspection }: IssuerRules) =>
  introspection !== undefined && (verify === 'auto' || verify === 'introspection');

/** Userinfo confirms no audience, no client and no scope: where one was asked for by name, it is no way. */
export const mayAskUserinfo = (rules: IssuerRules) =>
  rules.verify === 'userinfo' || (rules.verify === 'auto' && !asksForMore(rules));

/** Whether tokens that name no issuer may turn out to be this one's. */
export const mayTakeOpaque = (rules: IssuerRules) => mayIntrospect(rules) || mayAskUserinfo(rules);

/** Whether something about the token, and not about its user, was asked for by name. */
export function asksForMore({ audience, requiredScope, allow }: IssuerRules): boolean {
  return (
    audience !== undefined ||
    (requiredScope ?? []).length > 0 ||
    allow.some(({ claim }) => tokenClaims.has(claim))
  );
}
