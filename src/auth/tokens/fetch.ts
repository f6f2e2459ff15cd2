import { dpopChallenge } from '../../lib/challenge.ts';
import { AppError } from '../../lib/errors.ts';
import type { Answer } from '../../lib/http.ts';
import { isObject, type JsonObject, nestsDeeperThan } from '../../lib/json.ts';
import { display } from '../../lib/text.ts';
import { exchangeWith, issuerDown, issuerFailure, type Reach } from '../discovery/reach.ts';
import { isNonce } from '../dpop/prover.ts';

/** What `openid-client` calls instead of the global `fetch`. */
export type LibraryFetch = (
  url: string,
  options: { readonly method: string; readonly headers: Record<string, string>; readonly body?: unknown },
) => Promise<Response>;

/** The last answer that came in, as far as an error message wants to know. */
export interface Heard {
  readonly status: number;
  /** The body, when it is a JSON object. */
  readonly json: JsonObject | undefined;
  /** Its `Date` header. */
  readonly date: string | undefined;
}

export interface RecordingFetch {
  readonly fetch: LibraryFetch;
  heard(): Heard | undefined;
  /** A fetch that sends nothing and answers with the last answer again. */
  readonly replay: LibraryFetch;
}

/**
 * `fetch` for the OAuth library over our own way out to the network: bounded, guarded, no redirect (security
 * C9: a redirected token request would carry the code and the verifier elsewhere).
 *
 * Throws AppError `issuer_unreachable` for a failed exchange and for status 429 and 5xx, `remote_error` for a
 * redirect, `insecure_url`, `cancelled`.
 */
export function recordingFetch(reach: Reach, issuer: string): RecordingFetch {
  let last: Answer | undefined;
  const fetch: LibraryFetch = async (url, { method, headers, body }) => {
    const { 'user-agent': _, ...wanted } = headers;
    const target = new URL(url);
    last = await exchangeWith(reach, url, `an endpoint of ${display(issuer)}`, {
      method,
      headers: wanted,
      ...(body === undefined || body === null ? {} : { body: String(body) }),
    }).catch((error: unknown) => {
      throw issuerFailure(error, target, issuer);
    });
    if (last.status >= 300 && last.status <= 399) {
      // No more than whose it is: the rest may echo what was sent.
      const to = originOf(last.headers.location, target);
      throw new AppError('remote_error', `${target.origin}${target.pathname} redirects to ${to}`, {
        hint: 'nothing was sent there: the authorization server is set up wrongly',
      });
    }
    if (last.status === 429 || last.status >= 500) {
      throw issuerDown(issuer, `${target.origin}${target.pathname} answers with status ${last.status}`);
    }
    return response(last);
  };
  return {
    fetch,
    heard: () => last && { status: last.status, json: bodyOf(last), date: last.headers.date },
    replay: async () => response(last ?? { status: 404, headers: {}, body: '' }),
  };
}

function response(answer: Answer): Response {
  const { status, headers } = answer;
  const json = bodyOf(answer);
  const type = json ? 'application/json' : (headers['content-type'] ?? '');
  const nonce = headers['dpop-nonce'];
  const proofs = typeof nonce === 'string' && isNonce(nonce) ? proofHeaders(nonce, headers) : {};
  const init = { status, headers: { 'content-type': type, ...proofs } };
  if (status === 204 || status === 205) return new Response(null, init);
  // What is no JSON object is no answer; the library's parse error would quote it, tokens and all.
  return new Response(json ? JSON.stringify(tolerant(json)) : '', init);
}

/** What the library has to see of a server that wants its nonce in our proofs (RFC 9449 8, 9). */
function proofHeaders(nonce: string, { 'www-authenticate': challenge }: Answer['headers']) {
  const asks = dpopChallenge(challenge)?.error === 'use_dpop_nonce';
  return { 'dpop-nonce': nonce, ...(asks ? { 'www-authenticate': 'DPoP error="use_dpop_nonce"' } : {}) };
}

function originOf(location: string | undefined, from: URL): string {
  if (location === undefined || !URL.canParse(location, from.href)) return 'nowhere';
  return display(new URL(location, from).origin, 200);
}

/**
 * Members of a token answer that say nothing are left out, so that the library does not stumble over them: `null`,
 * an empty text, a lifetime that is not a positive number.
 */
function tolerant(json: JsonObject): JsonObject {
  const { expires_in: expiresIn, ...rest } = json;
  const kept = Object.entries(rest).filter(([, value]) => value !== null && value !== '');
  return {
    ...Object.fromEntries(kept),
    ...(Number(expiresIn) > 0 && Number.isFinite(Number(expiresIn)) ? { expires_in: Number(expiresIn) } : {}),
  };
}

/** A JSON object; form encoding too, which plain OAuth servers answer in that do not look at what was asked for. */
function bodyOf({ headers, body }: Answer): JsonObject | undefined {
  const type = headers['content-type'] ?? '';
  if (!type.startsWith('application/x-www-form-urlencoded')) return jsonOf(body);
  return Object.fromEntries([...new URLSearchParams(body)].filter(([name]) => name !== '__proto__'));
}

function jsonOf(body: string): JsonObject | undefined {
  if (nestsDeeperThan(body, 64)) return undefined;
  try {
    const value: unknown = JSON.parse(body, (key, member) => (key === '__proto__' ? undefined : member));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
