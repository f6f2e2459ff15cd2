import { readFile } from 'node:fs/promises';
import { AppError, reasonOf } from '../../lib/errors.ts';
import { type JsonObject, parseJsonObject, stringMember, stringsMember } from '../../lib/json.ts';
import { display } from '../../lib/text.ts';
import { secureUrl, wellKnown } from '../../lib/url.ts';
import { issuerDown, issuerFailure, type Reach, readDocument } from './reach.ts';

/**
 * The part of an authorization server's metadata that we use, under the names of RFC 8414 2. Checked: the
 * issuer, and that every endpoint is a URL that we may send something to. Endpoints are kept verbatim.
 */
export interface AuthorizationServer {
  readonly issuer: string;
  readonly authorization_endpoint?: string;
  readonly token_endpoint: string;
  readonly registration_endpoint?: string;
  readonly device_authorization_endpoint?: string;
  readonly revocation_endpoint?: string;
  readonly userinfo_endpoint?: string;
  readonly pushed_authorization_request_endpoint?: string;
  readonly require_pushed_authorization_requests?: boolean;
  readonly scopes_supported?: string[];
  readonly grant_types_supported?: string[];
  readonly token_endpoint_auth_methods_supported?: string[];
  readonly token_endpoint_auth_signing_alg_values_supported?: string[];
  readonly code_challenge_methods_supported?: string[];
  readonly id_token_signing_alg_values_supported?: string[];
  readonly dpop_signing_alg_values_supported?: string[];
  readonly authorization_response_iss_parameter_supported?: boolean;
  readonly client_id_metadata_document_supported?: boolean;
}

/**
 * Reads the metadata of `issuer`: RFC 8414 with the path inserted, OpenID Connect with the path inserted, then
 * appended (MCP authorization server discovery); last RFC 8414 appended, which some take it for. Only a JSON object whose `issuer` is the one asked for, byte
 * for byte, is an answer; anything else means: try the next form.
 *
 * Throws AppError `issuer_unreachable`, `metadata_invalid`, `insecure_url`.
 */
export async function readIssuerMetadata(reach: Reach, issuer: string): Promise<AuthorizationServer> {
  const url = secureUrl(issuer, 'the issuer', reach.policy);
  return firstFitting(reach, url, (named) => named === issuer);
}

/**
 * The metadata of an MCP server of revision 2025-03-26, which is its own authorization server; undefined when
 * it has none. Nobody named an issuer here: the origin, with or without its slash, is it.
 *
 * Throws AppError `metadata_invalid` where the metadata is another issuer's: whether to trust that is the person's
 * to say.
 */
export async function readOriginMetadata(
  reach: Reach,
  origin: string,
): Promise<AuthorizationServer | undefined> {
  const tried: Tried[] = [];
  const named = (issuer: string) => issuer === origin || issuer === `${origin}/`;
  const found = await tryForms(reach, new URL(origin), named, tried);
  const foreign = tried.find(({ document }) => document && stringMember(document, 'authorization_endpoint'));
  if (found || !foreign) return found;
  throw new AppError('metadata_invalid', `${origin} is no issuer of its own: ${display(foreign.why, 300)}`, {
    hint: `if you trust that: --metadata ${foreign.form}`,
  });
}

/** The endpoints that revision 2025-03-26 presumes where there is no metadata at all. */
export function defaultEndpoints(origin: string): AuthorizationServer {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    code_challenge_methods_supported: ['S256'],
  };
}

/**
 * Metadata given by hand (`--metadata URL|FILE`), for a provider without discovery. The two endpoints are enough:
 * without an issuer the origin of the token endpoint stands for it.
 */
export async function readGivenMetadata(reach: Reach, from: string): Promise<AuthorizationServer> {
  const text = /^https?:/i.test(from) ? await readUrl(reach, from) : await readGivenFile(from);
  const document = parseJsonObject(text, display(from, 200));
  const tokens = stringMember(document, 'token_endpoint');
  const origin = tokens && URL.canParse(tokens) ? new URL(tokens).origin : undefined;
  return checked(document, stringMember(document, 'issuer') ?? origin, reach, from);
}

/** A form that was no answer, and why; with the document, if it was one of somebody else. */
interface Tried {
  readonly form: string;
  readonly why: string;
  readonly document?: JsonObject;
}

async function firstFitting(
  reach: Reach,
  url: URL,
  isIssuer: (named: string) => boolean,
): Promise<AuthorizationServer> {
  const tried: Tried[] = [];
  const found = await tryForms(reach, url, isIssuer, tried);
  if (found) return found;
  const answers = tried.map(({ why }) => why).join('; ');
  throw new AppError(
    'metadata_invalid',
    `${display(url.href)} has no usable metadata (${display(answers, 400)})`,
    { hint: 'check the issuer, or give the metadata with --metadata URL|FILE' },
  );
}

/** In: `tried`, which takes each form that was no answer. */
async function tryForms(
  reach: Reach,
  issuer: URL,
  isIssuer: (named: string) => boolean,
  tried: Tried[],
): Promise<AuthorizationServer | undefined> {
  let broken: string | undefined;
  for (const form of metadataForms(issuer)) {
    const document = await readForm(reach, form, issuer);
    const named = typeof document === 'string' ? undefined : stringMember(document, 'issuer');
    if (typeof document === 'string') {
      tried.push({ form, why: document });
      if (/ status 5\d\d$/.test(document)) broken ??= document;
    } else if (named !== undefined && isIssuer(named)) return checked(document, named, reach, form);
    else {
      const why = `${form}: ${named === undefined ? 'no issuer' : `its issuer is ${named}`}`;
      tried.push({ form, why, document });
    }
  }
  if (broken) throw issuerDown(issuer.href, broken);
  return undefined;
}

/** The document, or why it is none. Throws what `issuerFailure` makes of a failed connection. */
async function readForm(reach: Reach, form: string, issuer: URL): Promise<JsonObject | string> {
  try {
    const { status, body } = await readDocument(reach, form, 'the metadata');
    return status === 200 ? parseJsonObject(body, form) : `${form}: status ${status}`;
  } catch (error) {
    if (error instanceof AppError && error.code === 'metadata_invalid') return error.message;
    throw issuerFailure(error, issuer, issuer.href);
  }
}

export function metadataForms(issuer: URL): string[] {
  const inserted = (name: string) => wellKnown(issuer, name).href;
  const forms = [inserted('oauth-authorization-server'), inserted('openid-configuration')];
  const path = issuer.pathname.replace(/\/$/, '');
  const appended = (name: string) => `${issuer.origin}${path}/.well-known/${name}`;
  if (path) forms.push(appended('openid-configuration'), appended('oauth-authorization-server'));
  return forms;
}

function checked(
  document: JsonObject,
  issuer: string | undefined,
  reach: Reach,
  from: string,
): AuthorizationServer {
  const lacks = (what: string) =>
    new AppError('metadata_invalid', `the metadata at ${display(from, 200)} lacks ${what}`, {
      hint: 'the authorization server is set up wrongly: tell its operator (RFC 8414 2)',
    });
  const endpoint = (name: string) => {
    const url = stringMember(document, name);
    if (url !== undefined) secureUrl(url, `the ${name}`, reach.policy);
    return url;
  };
  const required = (name: string) => {
    const url = endpoint(name);
    if (url === undefined) throw lacks(name);
    return url;
  };
  if (issuer === undefined) throw lacks('issuer');
  const pushes = document.require_pushed_authorization_requests === true;
  const pushedTo = 'pushed_authorization_request_endpoint';
  const optional = <T>(name: string, value: T | undefined) => (value === undefined ? {} : { [name]: value });
  const strings = (name: string) => optional(name, stringsMember(document, name)?.slice(0, 1000));
  return {
    issuer,
    ...optional('authorization_endpoint', endpoint('authorization_endpoint')),
    token_endpoint: required('token_endpoint'),
    ...optional('registration_endpoint', endpoint('registration_endpoint')),
    ...optional('device_authorization_endpoint', endpoint('device_authorization_endpoint')),
    ...optional('revocation_endpoint', endpoint('revocation_endpoint')),
    ...optional('userinfo_endpoint', endpoint('userinfo_endpoint')),
    ...optional(pushedTo, pushes ? required(pushedTo) : endpoint(pushedTo)),
    ...(pushes ? { require_pushed_authorization_requests: true } : {}),
    ...strings('scopes_supported'),
    ...strings('grant_types_supported'),
    ...strings('token_endpoint_auth_methods_supported'),
    ...strings('token_endpoint_auth_signing_alg_values_supported'),
    ...strings('code_challenge_methods_supported'),
    ...strings('id_token_signing_alg_values_supported'),
    ...(document.client_id_metadata_document_supported === true
      ? { client_id_metadata_document_supported: true }
      : {}),
    ...strings('dpop_signing_alg_values_supported'),
    ...(document.authorization_response_iss_parameter_supported === true
      ? { authorization_response_iss_parameter_supported: true }
      : {}),
  };
}

async function readUrl(reach: Reach, from: string): Promise<string> {
  const url = secureUrl(from, '--metadata', reach.policy);
  const answer = await readDocument(reach, url.href, 'the metadata').catch((error: unknown) => {
    throw issuerFailure(error, url, url.origin);
  });
  if (answer.status === 200) return answer.body;
  throw new AppError('metadata_invalid', `${url.href} answers with status ${answer.status}`);
}

async function readGivenFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new AppError('usage', `--metadata: ${display(path)} cannot be read: ${reasonOf(cause)}`, { cause });
  }
}
