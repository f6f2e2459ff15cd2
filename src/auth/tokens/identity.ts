import { type JsonObject, stringMember } from '../../lib/json.ts';
import { decodeJwt } from '../../lib/jwt-text.ts';
import { display } from '../../lib/text.ts';
import type { Asked } from '../authorization-request.ts';
import type { Reach } from '../discovery/reach.ts';
import { configure, type Grant, loadLibrary } from './oauth.ts';

/** Who signed in, for display only: nothing is decided by it. */
export interface DisplayIdentity {
  readonly subject: string | undefined;
  readonly name: string | undefined;
}

const userinfoMs = 3_000;

/**
 * From the id token; else from the access token's own payload, if it is a JWT; else from the userinfo endpoint.
 * Never fails: a provider that does not tell leaves both open.
 */
export async function identify(reach: Reach, asked: Asked, grant: Grant): Promise<DisplayIdentity> {
  const payload = decodeJwt(grant.accessToken.reveal())?.payload;
  const told = identityOf({ ...payload, ...grant.claims });
  if (told.name !== undefined || payload) return told;
  const more = await userinfo(reach, asked, grant, told.subject);
  return { subject: told.subject ?? more.subject, name: more.name ?? told.name };
}

/** From the access token's own payload alone, if it is a JWT. */
export function identityIn({ accessToken }: Pick<Grant, 'accessToken'>): DisplayIdentity {
  return identityOf(decodeJwt(accessToken.reveal())?.payload ?? {});
}

async function userinfo(
  reach: Reach,
  asked: Asked,
  grant: Grant,
  subject: string | undefined,
): Promise<DisplayIdentity> {
  const { server, client, binding } = asked;
  if (server.userinfo_endpoint === undefined) return identityOf({});
  try {
    const library = await loadLibrary();
    const limited = { ...reach, signal: within(reach.signal, userinfoMs) };
    const configuration = configure(library, { reach: limited, server, client });
    const expected = subject ?? library.skipSubjectCheck;
    const prover = grant.bound ? binding?.prover : undefined;
    const proof = prover && { DPoP: await prover.handle(library, configuration) };
    const token = grant.accessToken.reveal();
    return identityOf(await library.fetchUserInfo(configuration, token, expected, proof));
  } catch {
    return identityOf({});
  }
}

function within(signal: AbortSignal | undefined, ms: number): AbortSignal {
  const limit = AbortSignal.timeout(ms);
  return signal ? AbortSignal.any([signal, limit]) : limit;
}

function identityOf(claims: JsonObject): DisplayIdentity {
  const first = (...names: string[]) =>
    names.map((name) => stringMember(claims, name)).find((value) => value !== undefined);
  const shown = (text: string | undefined) =>
    text === undefined ? undefined : display(text, 200) || undefined;
  return {
    subject: shown(first('sub')),
    name: shown(first('name', 'preferred_username', 'username', 'email')),
  };
}
