import type * as Library from 'openid-client';
import { clockHint } from '../../lib/clock.ts';
import { AppError, hasCode, reasonOf } from '../../lib/errors.ts';
import { isObject, type JsonObject, stringMember } from '../../lib/json.ts';
import { Secret } from '../../lib/secret.ts';
import { display } from '../../lib/text.ts';
import { clientAuthentication, otherWaysOf } from '../client/authentication.ts';
import type { Client } from '../client/client.ts';
import type { AuthorizationServer } from '../discovery/issuer-metadata.ts';
import { issuerDown, type Reach } from '../discovery/reach.ts';
import type { Binding } from '../dpop/binding.ts';
import { type RecordingFetch, recordingFetch } from './fetch.ts';
import { basicCredentialsOf, without } from './without.ts';

/**
 * The one place that knows the OAuth library. It is loaded at the first use: a bridge whose token is fresh
 * never pays for it.
 */
let loading: Promise<typeof Library> | undefined;
export function loadLibrary(): Promise<typeof Library> {
  loading ??= import('openid-client');
  return loading;
}

/** A token answer (RFC 6749 5.1), its tokens checked for size and characters. */
export interface Grant {
  readonly accessToken: Secret;
  readonly refreshToken: Secret | undefined;
  readonly scope: string | undefined;
  /** Seconds; undefined when the server said nothing, or nothing sensible. */
  readonly expiresIn: number | undefined;
  /** To the key of the request (DPoP): else it is a Bearer token. */
  readonly bound: boolean;
  /** Claims of the id token, validated; undefined without one. */
  readonly claims: JsonObject | undefined;
}

/** The token endpoint said no (RFC 6749 5.2), in whatever form. */
export interface Refusal {
  readonly status: number;
  /** The error code; undefined when the body is no JSON, or has none. */
  readonly error: string | undefined;
  /** The server's words, without the secrets of the request. */
  readonly description: string | undefined;
  /** What to do about the clocks, where they differ. */
  readonly clock?: string | undefined;
}

/** `as`: the client in the way in which it got through. */
export type Answered<T> = { readonly granted: T; readonly as: Client } | { readonly refused: Refusal };
export type GrantResult = Answered<Grant>;

type Request<T> = (
  library: typeof Library,
  configuration: Library.Configuration,
  recording: RecordingFetch,
  proof: ProofOption,
) => Promise<T>;

/** How the library is told to prove the possession of a key. */
type ProofOption = { readonly DPoP: Library.DPoPHandle } | undefined;

/** The endpoints that we prove ourselves at as a client, by the member without which their answer is none. */
const endpoints = {
  access_token: { name: 'token endpoint', member: 'token_endpoint' },
  device_code: { name: 'device authorization endpoint', member: 'device_authorization_endpoint' },
  request_uri: {
    name: 'endpoint for pushed authorization requests',
    member: 'pushed_authorization_request_endpoint',
  },
} as const;

export interface Asking {
  readonly reach: Reach;
  readonly server: AuthorizationServer;
  readonly client: Client;
  /** Asks for tokens that are bound to a key. */
  readonly binding?: Binding | undefined;
  /** What the request carries: taken out of whatever the server says in return. */
  readonly secrets: readonly string[];
}

/**
 * Sends one request to the token endpoint.
 *
 * Throws AppError `issuer_unreachable` (network, 5xx, an answer that is none), `sign_in_failed` (an answer that
 * fails the library's checks), and those of `recordingFetch`.
 */
export function askForTokens(asking: Asking, send: Request<unknown>): Promise<GrantResult> {
  return askIssuer(asking, 'access_token', async (...parts) => grantOf(await send(...parts), asking));
}

/** Sends one request as the client that we are, to the endpoint whose answer has the member `needed`. Throws as `askForTokens`. */
export async function askIssuer<T>(
  asking: Asking,
  needed: keyof typeof endpoints,
  send: Request<T>,
): Promise<Answered<T>> {
  let result = await ask(asking, needed, send);
  for (const client of otherWaysOf(asking.client)) {
    if (!('refused' in result) || !isUnknownClient(result.refused)) break;
    result = await ask({ ...asking, client }, needed, send);
  }
  if ('refused' in result) blameClock(asking, result.refused);
  return result;
}

/** Whether the client was refused, and not what it asked for (RFC 6749 5.2; GitHub has a code of its own). */
export function isUnknownClient({ status, error }: Pick<Refusal, 'status' | 'error'>): boolean {
  return status === 401 || error === 'invalid_client' || error === 'incorrect_client_credentials';
}

async function ask<T>(
  asking: Asking,
  needed: keyof typeof endpoints,
  send: Request<T>,
): Promise<Answered<T>> {
  const library = await loadLibrary();
  const recording = recordingFetch(asking.reach, asking.server.issuer);
  const { issuer } = asking.server;
  try {
    const endpoint = asking.server[endpoints[needed].member];
    const configuration = configure(library, asking, recording, endpoint);
    const { binding } = asking;
    const proof = binding && { DPoP: await binding.prover.handle(library, configuration) };
    return { granted: await send(library, configuration, recording, proof), as: asking.client };
  } catch (error) {
    const ours = appErrorIn(error);
    if (ours) throw ours;
    const heard = recording.heard();
    if (!heard) throw failed(issuer, error);
    const clock = clockHint(heard.date, new URL(asking.server.token_endpoint).host, Date.now());
    const code = heard.json && stringMember(heard.json, 'error');
    if (heard.status >= 400 || code !== undefined) {
      const words = heard.json && stringMember(heard.json, 'error_description');
      const secrets = [...asking.secrets, ...basicCredentialsOf(asking.client)];
      const description = words && display(without(words, secrets));
      const said = code && without(code, secrets);
      return { refused: { status: heard.status, error: said, description, clock } };
    }
    if (!heard.json || stringMember(heard.json, needed) === undefined) {
      throw issuerDown(issuer, `its ${endpoints[needed].name} answers without ${needed}`, error);
    }
    throw failed(issuer, error, hasCode(error, 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') ? clock : undefined);
  }
}

/** Our own error inside those that the library wraps around it. */
export function appErrorIn(error: unknown): AppError | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof AppError) return inner;
  }
  return undefined;
}

/** What we sign carries our time: an issuer whose clock differs takes it for old, or for not yet valid. */
function blameClock({ server, client, binding }: Asking, { error, description, clock }: Refusal): void {
  const signed =
    (client.key !== undefined && error === 'invalid_client') ||
    (binding !== undefined && error === 'invalid_dpop_proof');
  if (!signed || clock === undefined) return;
  const said = description ? `: ${description}` : '';
  throw new AppError('sign_in_failed', `${display(server.issuer)} does not accept what we signed${said}`, {
    hint: clock,
  });
}

const failed = (issuer: string, error: unknown, clock?: string) => {
  const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const message = `the answer of ${display(issuer)} is not in order: ${display(reasonOf(reason))}`;
  return new AppError('sign_in_failed', message, {
    cause: error,
    hint: clock ?? 'try again; if it stays so, tell the operator of the authorization server',
  });
};

export function configure(
  library: typeof Library,
  { reach, server, client }: Omit<Asking, 'secrets'>,
  recording: RecordingFetch = recordingFetch(reach, server.issuer),
  endpoint?: string,
): Library.Configuration {
  const auth = clientAuthentication(library, client, endpoint);
  const configuration = new library.Configuration({ ...server }, client.id, {}, auth);
  configuration[library.customFetch] = recording.fetch as Library.CustomFetch;
  // Every URL has passed `secureUrl` already: plain http is left for loopback and what the user named.
  library.allowInsecureRequests(configuration);
  return configuration;
}

const longestToken = 16 * 1024;

/** The token's type has to be one that was asked for (RFC 6749 7.1, RFC 9449 5). */
function grantOf(answer: unknown, { server: { issuer }, binding }: Asking): Grant {
  const from = isObject(answer) ? answer : {};
  const bound = from.token_type === 'dpop';
  if (bound ? !binding : from.token_type !== 'bearer') {
    throw new AppError('sign_in_failed', `${display(issuer)} gave a token that is no Bearer token`);
  }
  if (!bound && binding?.required) {
    const message = `${display(issuer)} gave a Bearer token where one bound to our key (DPoP) is needed`;
    throw new AppError('sign_in_failed', message, {
      hint: 'it is of no use, or of more use to a thief: tell the operator of the authorization server',
    });
  }
  const claims = (answer as Library.TokenEndpointResponseHelpers).claims();
  const refreshToken = stringMember(from, 'refresh_token');
  return {
    accessToken: token(stringMember(from, 'access_token') ?? '', issuer),
    refreshToken: refreshToken === undefined ? undefined : token(refreshToken, issuer),
    scope: stringMember(from, 'scope'),
    bound,
    expiresIn: typeof from.expires_in === 'number' ? from.expires_in : undefined,
    claims: claims && { ...claims },
  };
}

function token(text: string, issuer: string): Secret {
  if (text.length <= longestToken && /^[\x21-\x7e]+$/.test(text)) return new Secret(text);
  const what = text.length > longestToken ? `longer than ${longestToken} bytes` : 'not visible ASCII';
  throw new AppError('sign_in_failed', `${display(issuer)} gave a token that is ${what}`);
}
