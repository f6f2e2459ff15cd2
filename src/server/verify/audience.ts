import type { JsonObject } from '../../lib/json.ts';
import type { ClaimRule } from '../../lib/settings.ts';
import { matches } from './policy.ts';

/** Whom an access token must be for. One slash at the end of an audience makes no difference. */
export interface ExpectedAudience {
  readonly accepted: readonly string[];
  /**
   * Whether it was asked for by name (`--audience`). Some providers, Cognito among them, leave `aud` out and
   * bind a token to its client alone: then, and only then, the name may be that client's.
   */
  readonly byName: boolean;
}

/** Whether a token, or what introspection tells of it, is for us. */
export function isForUs(token: JsonObject, expected: ExpectedAudience): boolean {
  const accepted = new Set(expected.accepted.map(withoutSlash));
  if (hasAudience(token)) return audiencesOf(token).some((one) => accepted.has(withoutSlash(one)));
  return expected.byName && expected.accepted.some((one) => one === token.client_id);
}

/** Whether a token without any audience comes from a client that was let in by name (RFC 7662 4). */
export function isFromAllowedClient(token: JsonObject, allow: readonly ClaimRule[]): boolean {
  return !hasAudience(token) && allow.some((rule) => rule.claim === 'client_id' && matches(token, rule));
}

export function audiencesOf({ aud }: JsonObject): readonly string[] {
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return list.filter((one) => typeof one === 'string');
}

const hasAudience = ({ aud }: JsonObject) => aud !== undefined && aud !== null;

const withoutSlash = (text: string) => text.replace(/\/$/, '');
