import type * as Library from 'openid-client';
import { AppError, asAppError } from '../../lib/errors.ts';
import { type JsonObject, stringMember } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import { display } from '../../lib/text.ts';
import { secureUrl } from '../../lib/url.ts';
import type { Asked } from '../authorization-request.ts';
import type { Reach } from '../discovery/reach.ts';
import { refusedBy } from '../redirect/redirect.ts';
import type { LibraryFetch, RecordingFetch } from './fetch.ts';
import { askForTokens, askIssuer, type Grant, type Refusal } from './oauth.ts';

/** What a person is shown to sign in on another device (RFC 8628 3.2). */
export interface DeviceCode {
  /** What to type, fit to be shown. */
  readonly userCode: string;
  /** Where to type it: a URL that was checked. */
  readonly verificationUri: string;
  /** The same with the code in it, for a QR code; undefined where the server has none that can be shown. */
  readonly verificationUriComplete: string | undefined;
  /** How long the code may be used. Milliseconds. */
  readonly lifeMs: number;
  /** The whole answer, device code included: for the polls alone. */
  readonly answer: Library.DeviceAuthorizationResponse;
}

/** Of a code whose end the server does not tell, as it must. Seconds. */
const usualLife = 300;
const longestLifeMs = 15 * 60_000;
const longestUrl = 2 * 1024;
/** So many polls may follow the one before in less than a second, whatever interval the server has set. */
const mostQuick = 10;

/**
 * Asks for a device code (RFC 8628 3.1). In: `parameters` of the request beyond the client's own.
 *
 * Out: `client_forgotten` when the issuer no longer knows the client that we registered there. Throws AppError
 * `issuer_unreachable`, `sign_in_failed`, `invalid_target`, `insecure_url` (an address that may not be shown).
 */
export async function askForDeviceCode(
  reach: Reach,
  { server, client, resource }: Asked,
  parameters: Record<string, string>,
): Promise<DeviceCode | 'client_forgotten'> {
  const asking = { reach, server, client, secrets: [client.secret?.reveal() ?? ''] };
  const result = await askIssuer(asking, 'device_code', (library, configuration, recording) => {
    useFetch(library, configuration, mended(recording));
    return library.initiateDeviceAuthorization(configuration, parameters);
  });
  if ('refused' in result) {
    if (result.refused.error === 'invalid_client' && client.dynamic) return 'client_forgotten';
    throw refusal(server.issuer, result.refused, resource);
  }
  const answer = result.granted;
  const userCode = display(answer.user_code, 64);
  if (userCode === '') {
    throw new AppError('sign_in_failed', `${display(server.issuer)} gave a code that cannot be shown`);
  }
  const verificationUri = secureUrl(short(answer.verification_uri), 'the verification URL', reach.policy);
  await reach.guard.check(verificationUri);
  return {
    userCode,
    verificationUri: verificationUri.href,
    verificationUriComplete: complete(answer.verification_uri_complete, verificationUri, reach),
    lifeMs: Math.min(answer.expires_in * 1000, longestLifeMs),
    answer,
  };
}

/**
 * Asks again and again whether the person is done (RFC 8628 3.4, 3.5), as often as the server wants to be asked.
 *
 * In: `ranOut`, the error for a code whose time is over. Out: `client_forgotten` as above. Throws AppError
 * `sign_in_denied`, `sign_in_failed`, `invalid_target`, and `ranOut`'s.
 */
export async function pollForTokens(
  reach: Reach,
  { server, client, resource, binding }: Asked,
  { answer, lifeMs }: DeviceCode,
  log: Log,
  ranOut: () => AppError,
): Promise<Grant | 'client_forgotten'> {
  const secrets = [answer.device_code, client.secret?.reveal() ?? ''];
  const over = AbortSignal.timeout(lifeMs);
  const signal = reach.signal ? AbortSignal.any([reach.signal, over]) : over;
  const parameters: Record<string, string> = resource ? { resource } : {};
  const result = await askForTokens(
    { reach, server, client, secrets, binding },
    (library, configuration, recording, proof) => {
      useFetch(library, configuration, patient(recording, log));
      return library.pollDeviceAuthorizationGrant(configuration, answer, parameters, { signal, ...proof });
    },
  );
  if ('granted' in result) return result.granted;
  const { error } = result.refused;
  if (error === 'invalid_client' && client.dynamic) return 'client_forgotten';
  if (['expired_token', 'authorization_pending', 'slow_down'].includes(error ?? '')) throw ranOut();
  throw refusal(server.issuer, result.refused, resource);
}

/** Google says `verification_url`; an end that is not told, and an interval that is none, stop nobody. */
function mended(recording: RecordingFetch): LibraryFetch {
  return async (url, options) => {
    const response = await recording.fetch(url, options);
    const json = recording.heard()?.json;
    if (!response.ok || !json) return response;
    const { interval, ...rest } = json;
    const told = { verification_uri: stringMember(json, 'verification_url'), expires_in: usualLife, ...rest };
    const pause = Number(interval) > 0 ? { interval: Number(interval) } : {};
    return answerWith(response, response.status, { ...told, ...pause });
  };
}

/**
 * A poll that did not come through is no end of the sign-in: we ask less often from then on (RFC 8628 3.5), and also
 * where we have asked too often. GitHub says "pending" with status 200.
 */
function patient(recording: RecordingFetch, log: Log): LibraryFetch {
  let warned = false;
  let quick = 0;
  let last = Number.NEGATIVE_INFINITY;
  return async (url, options) => {
    try {
      if (performance.now() - last < 1_000) quick++;
      last = performance.now();
      const response = await recording.fetch(url, options);
      const json = recording.heard()?.json;
      if (json?.error === 'authorization_pending' && quick > mostQuick) return slowDown();
      return json?.error === undefined ? response : answerWith(response, 400, json);
    } catch (error) {
      if (asAppError(error).code !== 'issuer_unreachable') throw error;
      if (!warned) log.warn('the authorization server did not answer; we go on asking', { reason: error });
      warned = true;
      return slowDown();
    }
  };
}

const slowDown = () => Response.json({ error: 'slow_down' }, { status: 400 });

const answerWith = ({ headers }: Response, status: number, json: JsonObject) =>
  new Response(JSON.stringify(json), { status, headers });

function useFetch(library: typeof Library, configuration: Library.Configuration, fetch: LibraryFetch): void {
  configuration[library.customFetch] = fetch as Library.CustomFetch;
}

/** The URL with the code in it, where it leads to the page that the person is told, and nowhere else. */
function complete(url: string | undefined, { origin }: URL, { policy }: Reach): string | undefined {
  try {
    const found = secureUrl(short(url ?? ''), 'the verification URL', policy);
    return found.origin === origin ? found.href : undefined;
  } catch {
    return undefined;
  }
}

function short(url: string): string {
  if (url.length <= longestUrl) return url;
  throw new AppError('sign_in_failed', `the verification URL is too long (${url.length} characters)`);
}

function refusal(issuer: string, { error, status, description }: Refusal, resource: string | undefined) {
  if (error === 'unauthorized_client' || error === 'unsupported_grant_type') {
    const said = description ? `: ${description}` : '';
    return new AppError('sign_in_failed', `${display(issuer)} lets this client use no device flow${said}`, {
      hint: 'allow the device flow for it there and give its id with --client-id, or sign in with --no-browser',
    });
  }
  return refusedBy(issuer, error ?? `status ${status}`, description, resource);
}
