import { timingSafeEqual } from 'node:crypto';
import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import type { AuthorizationRequest } from '../authorization-request.ts';

const single = ['state', 'code', 'error', 'iss'];

/**
 * Whether redirect parameters are the answer to the request with `state`. A repeated parameter is none (RFC
 * 6749 3.1), nor is one that carries neither a code nor an error. Compared in constant time.
 */
export function answersState(parameters: URLSearchParams, state: string): boolean {
  if (single.some((name) => parameters.getAll(name).length > 1)) return false;
  if (!parameters.get('code') && !parameters.get('error')) return false;
  const [given, expected] = [Buffer.from(parameters.get('state') ?? ''), Buffer.from(state)];
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/**
 * Judges an authorization response that carries our state. Returns when it may be redeemed.
 *
 * `iss` is compared byte for byte whenever it is there, and must be there when it was announced (RFC 9207 2.4);
 * on a mismatch nothing of the response is shown. In: `again`, how to begin anew. Throws AppError `sign_in_failed`,
 * `sign_in_denied`, `invalid_target`.
 */
export function judgeRedirect(
  parameters: URLSearchParams,
  request: AuthorizationRequest,
  again: string,
): void {
  const { issuer, authorization_response_iss_parameter_supported: announced } = request.server;
  const named = parameters.get('iss');
  if (named === null ? announced : named !== issuer) {
    throw new AppError('sign_in_failed', `the answer does not come from ${display(issuer)}: it is refused`, {
      hint: `${again}; if it happens again, do not trust the server and tell its operator`,
    });
  }
  const error = parameters.get('error');
  if (error) throw refusedBy(issuer, error, parameters.get('error_description'), request.resource);
}

/** An OAuth error code as a person reads it. Also for the token endpoint. */
export function refusedBy(
  issuer: string,
  error: string,
  description: string | null | undefined,
  resource: string | undefined,
  again = 'sign in again',
): AppError {
  const who = display(issuer);
  const said = description ? `: ${display(description)}` : '';
  switch (error) {
    case 'access_denied':
    case 'consent_required':
    case 'login_required':
    case 'interaction_required':
    case 'account_selection_required':
      return new AppError('sign_in_denied', `the sign-in was not granted at ${who} (${error}${said})`, {
        hint: 'start the sign-in again when you want to',
      });
    case 'invalid_target':
      return invalidTarget(who, resource, said);
    case 'invalid_scope':
      return new AppError('sign_in_failed', `${who} refuses the scopes asked for${said}`, {
        hint: 'choose others with --scope "openid profile"',
      });
    case 'unauthorized_client':
      return new AppError('sign_in_failed', `${who} does not let this client sign people in${said}`, {
        hint: 'register a native client there, and give its id with --client-id',
      });
    case 'invalid_client':
    case 'incorrect_client_credentials':
      return new AppError('sign_in_failed', `${who} does not know this client${said}`, {
        hint: 'check --client-id, and what proves the client, if it has a secret or a key: MCP_WHOAMI_CLIENT_SECRET, --client-key',
      });
    case 'redirect_uri_mismatch':
      return new AppError('sign_in_failed', `${who} does not know our redirect URI${said}`, {
        hint: 'register it there: --redirect-port and --redirect-host choose it, --print-redirect-uri shows it',
      });
    case 'invalid_grant':
      return new AppError('sign_in_failed', `${who} does not accept the code of this sign-in${said}`, {
        hint: `it was late, or not meant for us: ${again}`,
      });
    case 'invalid_dpop_proof':
    case 'use_dpop_nonce':
      return new AppError('sign_in_failed', `${who} wants another proof of our key (DPoP${said})`, {
        hint: 'set the clock of this machine right; a client that must use DPoP works where the MCP server asks for it',
      });
    case 'temporarily_unavailable':
    case 'server_error':
      return new AppError('issuer_unreachable', `${who} cannot sign you in now (${error}${said})`, {
        hint: 'try again later',
      });
    default:
      return new AppError('sign_in_failed', `${who} refused the sign-in (${display(error, 80)}${said})`, {
        hint: hintFor(description ?? '', resource),
      });
  }
}

/** Many providers say `invalid_request` to what they miss or do not take, and name it in their words only. */
function hintFor(description: string, resource: string | undefined): string {
  if (/client_secret|client_assertion/i.test(description)) {
    return 'it wants a secret of this client: add --ask-client-secret, or put it into MCP_WHOAMI_CLIENT_SECRET';
  }
  if (resource !== undefined && /\bresource\b/i.test(description)) {
    return 'it does not take the resource parameter: sign in with --resource none';
  }
  return 'check --client-id, --scope and --auth-param against what the provider expects';
}

function invalidTarget(who: string, resource: string | undefined, said: string): AppError {
  const what = resource === undefined ? 'a missing resource' : display(resource, 200);
  return new AppError('invalid_target', `${who} does not know the resource ${what}${said}`, {
    hint:
      resource === undefined
        ? 'name the API resource registered at the provider with --resource URI'
        : `register ${display(resource, 200)} as an API resource at the provider, or sign in with --resource none`,
  });
}
