import type { Identity } from '../../lib/identity.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { ClaimRule } from '../../lib/settings.ts';
import type { Evidence, Rejected, Verdict } from './verifier.ts';

/** What a good token must bring besides being good, and what is shown of it. */
export interface Policy {
  readonly requiredScope: readonly string[];
  readonly allow: readonly ClaimRule[];
  /** The claims that are shown beside `sub` and `iss`; `undefined`: all. */
  readonly claims: readonly string[] | undefined;
}

/** Whether the bearer of a token may call. */
export type Ruling =
  | { readonly outcome: 'accepted'; readonly identity: Identity; readonly keepMs: number }
  | Rejected
  | {
      readonly outcome: 'insufficient_scope';
      readonly required: readonly string[];
      /** `undefined` when the authorization server itself found the token insufficient. */
      readonly identity: Identity | undefined;
    }
  | {
      readonly outcome: 'access_denied';
      /** The claim that did not match. */
      readonly claim: string;
      readonly identity: Identity;
    };

/**
 * Applies the policy to a verdict. Scopes that the way of verification cannot tell are not asked for: where some
 * were asked for by name, that way is not chosen in the first place.
 */
export function judge(verdict: Verdict, { requiredScope, allow, claims }: Policy): Ruling {
  if (verdict.outcome === 'rejected') return verdict;
  if (verdict.outcome === 'insufficient_scope') {
    return { outcome: 'insufficient_scope', required: requiredScope, identity: undefined };
  }
  const { evidence, keepMs } = verdict;
  const identity = identityOf(evidence, claims);
  const granted = evidence.scopes;
  if (granted && !requiredScope.every((scope) => granted.includes(scope))) {
    return { outcome: 'insufficient_scope', required: requiredScope, identity };
  }
  const broken = allow.find((rule) => !matches(evidence.claims, rule));
  if (broken) return { outcome: 'access_denied', claim: broken.claim, identity };
  return { outcome: 'accepted', identity, keepMs };
}

/** A list matches by one of its members; text, numbers and truth values by how they are written. */
export function matches(claims: JsonObject, { claim, values }: ClaimRule): boolean {
  const found: unknown = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  const present: readonly unknown[] = Array.isArray(found) ? found : [found];
  return present.some(
    (one) => ['string', 'number', 'boolean'].includes(typeof one) && values.includes(String(one)),
  );
}

function identityOf(evidence: Evidence, shown: readonly string[] | undefined): Identity {
  const { issuer, subject, clientId, scopes, expiresAt, person } = evidence;
  const wanted = shown && new Set([...shown, 'sub', 'iss']);
  const claims = wanted
    ? Object.fromEntries(Object.entries(person).filter(([name]) => wanted.has(name)))
    : person;
  return { issuer, subject, clientId, scopes: scopes ?? [], expiresAt, claims };
}
