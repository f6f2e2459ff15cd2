import { AppError } from '../../lib/errors.ts';
import { readFileIfThere } from '../../lib/files.ts';
import { budgets, type HttpClient } from '../../lib/http.ts';
import { type JsonObject, parseJsonObject, stringMember, stringsMember } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import { describeNetworkError, networkHint } from '../../lib/network-error.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { secureUrl, wellKnown } from '../../lib/url.ts';

/** What we need to know of the authorization server. */
export interface ProviderMetadata {
  /** As its own document writes it: what tokens carry in `iss`. */
  readonly issuer: string;
  /** The document as it was served; `undefined` for a provider that has none. */
  readonly document: string | undefined;
  readonly jwksUri: URL | undefined;
  readonly userinfoUrl: URL | undefined;
  /** Speaks OpenID Connect, so that `openid profile email` mean something to it. */
  readonly openid: boolean;
  readonly scopesSupported: readonly string[] | undefined;
}

/** The outcome of asking one well-known address. */
type Found =
  | { readonly kind: 'metadata'; readonly metadata: ProviderMetadata }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed' | 'unfit'; readonly error: AppError };

/**
 * Finds the metadata of the configured issuer (RFC 8414 3, OpenID Connect Discovery 4), or reads the document
 * that `--metadata` names.
 *
 * Throws AppError `issuer_unreachable` when it may be there later, `metadata_invalid` when what is there is
 * unfit: another issuer in it (RFC 8414 3.3), an endpoint that is neither https nor loopback, no document at all.
 */
export async function discover(
  settings: ServerSettings,
  http: HttpClient,
  log: Log,
): Promise<ProviderMetadata> {
  const issuer = settings.issuer ?? '';
  const read = (document: string, from: string) => readMetadata(document, from, issuer, settings, log);
  if (settings.metadata) return read(await givenDocument(settings.metadata, issuer, http), settings.metadata);
  const answers = await Promise.all(wellKnownForms(issuer).map((url) => ask(url, http, read)));
  const metadata = best(answers.flatMap((found) => (found.kind === 'metadata' ? found.metadata : [])));
  if (metadata) return metadata;
  for (const kind of ['unfit', 'failed'] as const) {
    for (const found of answers) if (found.kind === kind) throw found.error;
  }
  if (settings.userinfoUrl) return withoutDocument(issuer, settings.userinfoUrl);
  throw new AppError('metadata_invalid', `${issuer} has no metadata at any of its well-known addresses`, {
    hint: 'check --issuer, or name the document with --metadata URL|FILE',
  });
}

/** RFC 8414 and OpenID Connect put the well-known name before the issuer's path, or after it. */
export function wellKnownForms(issuer: string): readonly URL[] {
  const url = secureUrl(issuer, 'the issuer');
  const appended = new URL(`${url.href.replace(/\/$/, '')}/.well-known/openid-configuration`);
  const forms = [
    wellKnown(url, 'oauth-authorization-server'),
    appended,
    wellKnown(url, 'openid-configuration'),
  ];
  return forms.filter((form, i) => forms.findIndex(({ href }) => href === form.href) === i);
}

async function ask(
  url: URL,
  http: HttpClient,
  read: (document: string, from: string) => ProviderMetadata,
): Promise<Found> {
  try {
    const { status, body } = await http.read(url, {
      headers: { accept: 'application/json' },
      maxBytes: budgets.providerBody,
      totalTimeoutMs: budgets.providerTotalMs,
    });
    if (status === 200) return { kind: 'metadata', metadata: read(body, url.href) };
    if (status < 500 && status !== 429) return { kind: 'none' };
    return { kind: 'failed', error: unreachable(url, `answered ${status}`) };
  } catch (error) {
    if (error instanceof AppError && ['metadata_invalid', 'insecure_url'].includes(error.code)) {
      return { kind: 'unfit', error: unfit(error) };
    }
    return { kind: 'failed', error: unreachable(url, describeNetworkError(error, url), error) };
  }
}

async function givenDocument(from: string, issuer: string, http: HttpClient): Promise<string> {
  if (!/^https?:/i.test(from)) {
    const text = await readFileIfThere(from);
    if (text !== undefined) return text;
    throw new AppError('metadata_invalid', `there is no file ${from} with the metadata of ${issuer}`, {
      hint: 'check --metadata',
    });
  }
  const url = secureUrl(from, 'the metadata address');
  let problem: AppError;
  try {
    const limits = { maxBytes: budgets.providerBody, totalTimeoutMs: budgets.providerTotalMs };
    const { status, body } = await http.read(url, { headers: { accept: 'application/json' }, ...limits });
    if (status === 200) return body;
    problem = unreachable(url, `answered ${status}`);
  } catch (error) {
    problem = unreachable(url, describeNetworkError(error, url), error);
  }
  throw problem;
}

/** Checks one document. Throws AppError `metadata_invalid` or `insecure_url`. */
function readMetadata(
  document: string,
  from: string,
  configured: string,
  settings: ServerSettings,
  log: Log,
): ProviderMetadata {
  const object = parseJsonObject(document, from);
  const issuer = stringMember(object, 'issuer');
  if (issuer === undefined || withoutSlash(issuer) !== withoutSlash(configured)) {
    throw new AppError(
      'metadata_invalid',
      `${from} is the metadata of ${issuer ? display(issuer, 200) : 'no issuer at all'}, not of ${configured}`,
      { hint: issuer ? `if that is right: --issuer ${display(issuer, 200)}` : 'check --issuer' },
    );
  }
  if (issuer !== configured) log.warn('the issuer is written with another slash at its end', { issuer });
  const endpoint = (name: string) => {
    const text = stringMember(object, name);
    return text === undefined ? undefined : secureUrl(text, `${name} of ${configured}`);
  };
  const jwksUri = endpoint('jwks_uri');
  const ownUserinfo = endpoint('userinfo_endpoint');
  const userinfoUrl = settings.userinfoUrl
    ? secureUrl(settings.userinfoUrl, 'the userinfo address')
    : ownUserinfo;
  const scopesSupported = stringsMember(object, 'scopes_supported');
  const openid = speaksOpenid(object, ownUserinfo, scopesSupported);
  return { issuer, document, jwksUri, userinfoUrl, openid, scopesSupported };
}

function speaksOpenid(
  object: JsonObject,
  userinfo: URL | undefined,
  scopes: readonly string[] | undefined,
): boolean {
  if (scopes) return scopes.includes('openid');
  return (
    userinfo !== undefined || stringsMember(object, 'id_token_signing_alg_values_supported') !== undefined
  );
}

function withoutDocument(issuer: string, userinfo: string): ProviderMetadata {
  return {
    issuer,
    document: undefined,
    jwksUri: undefined,
    userinfoUrl: secureUrl(userinfo, 'the userinfo address'),
    openid: false,
    scopesSupported: undefined,
  };
}

/** Of several good documents the one that offers the most ways to verify a token. */
function best(candidates: readonly ProviderMetadata[]): ProviderMetadata | undefined {
  const worth = ({ jwksUri, userinfoUrl }: ProviderMetadata) => (jwksUri ? 2 : 0) + (userinfoUrl ? 1 : 0);
  return [...candidates].sort((a, b) => worth(b) - worth(a))[0];
}

/** What helps here: the hints of a URL or a document that is not in order are for clients. */
function unfit(error: AppError): AppError {
  if (error.code === 'metadata_invalid' && error.hint) return error;
  return new AppError(error.code, error.message, {
    hint: 'check --issuer, or name a document in order with --metadata URL|FILE',
    cause: error.cause,
  });
}

function unreachable(url: URL, why: string, cause?: unknown): AppError {
  return new AppError('issuer_unreachable', `the authorization server's metadata at ${url.href}: ${why}`, {
    cause,
    hint: networkHint(cause),
  });
}

const withoutSlash = (text: string) => text.replace(/\/$/, '');
