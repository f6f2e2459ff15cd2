import { clockHint } from '../../lib/clock.ts';
import { shellWord } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import { readFileIfThere } from '../../lib/files.ts';
import { type JsonObject, parseJsonObject, stringMember, stringsMember } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import { describeNetworkError, networkHint } from '../../lib/network-error.ts';
import type { IssuerSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { secureUrl, wellKnown } from '../../lib/url.ts';
import type { ProviderReader } from './reader.ts';

/** What we need to know of the authorization server. */
export interface ProviderMetadata {
  /** As its own document writes it: what tokens carry in `iss`. */
  readonly issuer: string;
  /** The document as it was served; `undefined` for a provider that has none. */
  readonly document: string | undefined;
  readonly jwksUri: URL | undefined;
  readonly userinfoUrl: URL | undefined;
  readonly introspectionUrl: URL | undefined;
  /** How a client may authenticate at the introspection endpoint, or at the token endpoint; empty: it does not say. */
  readonly clientAuthMethods: readonly string[];
  /** Speaks OpenID Connect, so that `openid profile email` mean something to it. */
  readonly openid: boolean;
  readonly scopesSupported: readonly string[] | undefined;
}

/** The outcome of asking one well-known address. */
type Found =
  | { readonly kind: 'metadata'; readonly metadata: ProviderMetadata; readonly date: string | undefined }
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
  rules: IssuerSettings,
  reader: ProviderReader,
  log: Log,
  now: () => number,
): Promise<ProviderMetadata> {
  const { issuer } = rules;
  const read = (document: string, from: string) => readMetadata(document, from, rules, log);
  if (rules.metadata) return read(await givenDocument(rules.metadata, issuer, reader), rules.metadata);
  const answers = await Promise.all(wellKnownForms(issuer).map((url) => ask(url, reader, read)));
  const good = answers.flatMap((found) => (found.kind === 'metadata' ? found : []));
  const metadata = best(
    good.map((found) => found.metadata),
    rules.introspection !== undefined,
  );
  if (metadata) {
    const hint = clockHint(good[0]?.date, new URL(issuer).host, now());
    if (hint) log.warn('tokens may look as if they had run out, or were not valid yet', { hint });
    return metadata;
  }
  for (const kind of ['unfit', 'failed'] as const) {
    for (const found of answers) if (found.kind === kind) throw found.error;
  }
  if (rules.userinfoUrl) return withoutDocument(issuer, rules.userinfoUrl);
  throw new AppError('metadata_invalid', `${issuer} has no metadata at any of its well-known addresses`, {
    hint: 'check --issuer, or name the document with --metadata URL|FILE',
  });
}

/** RFC 8414 and OpenID Connect put the well-known name before the issuer's path, or after it. */
export function wellKnownForms(issuer: string): readonly URL[] {
  const url = secureUrl(issuer, 'the issuer');
  const appended = (name: string) => new URL(`${url.href.replace(/\/$/, '')}/.well-known/${name}`);
  const forms = [
    wellKnown(url, 'oauth-authorization-server'),
    appended('openid-configuration'),
    wellKnown(url, 'openid-configuration'),
    appended('oauth-authorization-server'),
  ];
  return forms.filter((form, i) => forms.findIndex(({ href }) => href === form.href) === i);
}

async function ask(
  url: URL,
  reader: ProviderReader,
  read: (document: string, from: string) => ProviderMetadata,
): Promise<Found> {
  try {
    const answer = await reader.read('metadata', url, { headers: { accept: 'application/json' } });
    const { status, body, headers } = answer;
    if (status === 200) return { kind: 'metadata', metadata: read(body, url.href), date: headers.date };
    if (status < 500 && status !== 429) return { kind: 'none' };
    return { kind: 'failed', error: unreachable(url, `answered ${status}`) };
  } catch (error) {
    if (error instanceof AppError && ['metadata_invalid', 'insecure_url'].includes(error.code)) {
      return { kind: 'unfit', error: unfit(error) };
    }
    return { kind: 'failed', error: unreachable(url, describeNetworkError(error, url), error) };
  }
}

async function givenDocument(from: string, issuer: string, reader: ProviderReader): Promise<string> {
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
    const { status, body } = await reader.read('metadata', url, { headers: { accept: 'application/json' } });
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
  { issuer: configured, userinfoUrl: givenUserinfo }: IssuerSettings,
  log: Log,
): ProviderMetadata {
  const object = parseJsonObject(document, from);
  const issuer = stringMember(object, 'issuer');
  if (issuer === undefined || withoutSlash(issuer) !== withoutSlash(configured)) {
    const word = shellWord(issuer ?? '');
    throw new AppError(
      'metadata_invalid',
      `${from} is the metadata of ${issuer ? display(issuer, 200) : 'no issuer at all'}, not of ${configured}`,
      { hint: word ? `if that is right: --issuer ${word}` : 'check --issuer' },
    );
  }
  if (issuer !== configured) log.warn('the issuer is written with another slash at its end', { issuer });
  const endpoint = (name: string) => {
    const text = stringMember(object, name);
    return text === undefined ? undefined : secureUrl(text, `${name} of ${configured}`);
  };
  const jwksUri = endpoint('jwks_uri');
  const ownUserinfo = endpoint('userinfo_endpoint');
  const userinfoUrl = givenUserinfo ? secureUrl(givenUserinfo, 'the userinfo address') : ownUserinfo;
  const scopesSupported = stringsMember(object, 'scopes_supported');
  const openid = speaksOpenid(object, ownUserinfo, scopesSupported);
  return {
    issuer,
    document,
    jwksUri,
    userinfoUrl,
    introspectionUrl: endpoint('introspection_endpoint'),
    clientAuthMethods: clientAuthMethods(object),
    openid,
    scopesSupported,
  };
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

/**
 * RFC 8414 2. Both lists count: glewlwyd names Basic alone for introspection, and by Basic it then shows a client
 * only its own tokens.
 */
function clientAuthMethods(object: JsonObject): readonly string[] {
  return ['introspection', 'token'].flatMap(
    (endpoint) => stringsMember(object, `${endpoint}_endpoint_auth_methods_supported`) ?? [],
  );
}

function withoutDocument(issuer: string, userinfo: string): ProviderMetadata {
  return {
    issuer,
    document: undefined,
    jwksUri: undefined,
    userinfoUrl: secureUrl(userinfo, 'the userinfo address'),
    introspectionUrl: undefined,
    clientAuthMethods: [],
    openid: false,
    scopesSupported: undefined,
  };
}

/** Of several good documents the one that offers the most ways to verify a token. */
function best(good: readonly ProviderMetadata[], mayIntrospect: boolean): ProviderMetadata | undefined {
  const worth = ({ jwksUri, introspectionUrl, userinfoUrl }: ProviderMetadata) =>
    (jwksUri ? 4 : 0) + (introspectionUrl && mayIntrospect ? 2 : 0) + (userinfoUrl ? 1 : 0);
  return [...good].sort((a, b) => worth(b) - worth(a))[0];
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
