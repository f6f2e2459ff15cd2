import { AppError } from '../../lib/errors.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';
import type { ClaimRule, ClientCredentials, IssuerRules, IssuerSettings } from '../../lib/settings.ts';
import { display, nearest } from '../../lib/text.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import { asksForMore } from '../../server/verify/rules.ts';
import { jsonPairs, oneOf, readWebUrl, secret, several, text } from './option.ts';
import { type Levels, resolve, type Values } from './resolve.ts';

const introspectionId = 'MCP_WHOAMI_INTROSPECTION_CLIENT_ID';
const introspectionSecret = 'MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET';

/** The rules of one authorization server: for all of them by flag or variable, for each in the file's `issuers`. */
export const issuerOptions = {
  metadata: text({
    flag: 'metadata',
    value: 'URL|FILE',
    variables: ['MCP_WHOAMI_METADATA'],
    member: 'metadata',
    help: 'authorization server metadata of a provider without discovery',
  }),
  userinfoUrl: {
    ...text({
      flag: 'userinfo-url',
      value: 'URL',
      variables: ['MCP_WHOAMI_USERINFO_URL'],
      member: 'userinfoUrl',
      help: 'the endpoint that tells who a token belongs to',
    }),
    read: (texts: readonly string[], from: string) => readTrustedUrl(texts.at(-1) ?? '', from),
  },
  verify: oneOf(['auto', 'jwt', 'userinfo', 'introspection'], {
    flag: 'verify',
    value: 'auto|jwt|userinfo|introspection',
    variables: ['MCP_WHOAMI_VERIFY'],
    member: 'verify',
    help: 'how access tokens are verified (default: auto)',
  }),
  audience: text({
    flag: 'audience',
    value: 'URI',
    variables: ['MCP_WHOAMI_AUDIENCE'],
    member: 'audience',
    help: "expected audience (default: the server's own resource URIs)",
  }),
  requiredScope: text({
    flag: 'required-scope',
    value: '"A B"|none',
    variables: ['MCP_WHOAMI_REQUIRED_SCOPE'],
    member: 'requiredScope',
    help: 'scopes every call needs (default: openid profile)',
  }),
  allow: {
    ...several(readClaim, {
      flag: 'allow',
      value: "'CLAIM=VALUE'",
      member: 'allow',
      help: 'who may call (repeatable: values of one claim are alternatives, different claims must all match)',
    }),
    json: jsonPairs,
  },
  introspectionClientId: text({
    variables: [introspectionId],
    help: 'the client that asks the introspection endpoint about tokens',
  }),
  introspectionClientSecret: secret({ variables: [introspectionSecret], help: "that client's secret" }),
};

const entryMembers = [
  'issuer',
  'metadata',
  'userinfoUrl',
  'verify',
  'audience',
  'requiredScope',
  'allow',
  'credentials',
];

/** A URL whose answers decide who is let in. The text is kept: an issuer is compared byte by byte (RFC 8414 3.3). */
export function readTrustedUrl(given: string, from: string): string {
  const { protocol, hostname } = readWebUrl(given, from);
  if (protocol === 'https:' || isLoopbackHost(hostname)) return given;
  throw new AppError('usage', `${from}: "${display(given, 80)}" is plain http to another machine`, {
    hint: 'name its https address: who can change what it answers decides who is let in',
  });
}

function readClaim(given: string, from: string): readonly [claim: string, value: string] {
  const at = given.indexOf('=');
  if (at < 1 || at === given.length - 1) {
    throw new AppError('usage', `${from}: write it as 'claim=value'`, { hint: "--allow 'groups=staff'" });
  }
  return [given.slice(0, at), given.slice(at + 1)];
}

/**
 * The authorization servers, each with its rules.
 *
 * In: the levels of the settings, the issuers that `--issuer` names, and the member `issuers` of the file. The
 * issuers are those of `--issuer`, else those of the file; an entry of the file is the most specific part of the
 * file for its issuer. Throws AppError `usage`.
 */
export function issuerSettings(
  levels: Levels,
  named: readonly string[] | undefined,
  member: unknown,
): readonly IssuerSettings[] {
  const entries = readEntries(member);
  const issuers = named ?? entries.map(({ issuer }) => issuer);
  const twice = issuers.find((issuer, i) => issuers.indexOf(issuer) !== i);
  if (twice !== undefined) throw usage(`the issuer ${display(twice, 200)} is named twice`);
  const all = issuers.map((issuer) => {
    const entry = entries.find((one) => one.issuer === issuer);
    const files = entry ? [{ name: entry.name, members: entry.members }, ...levels.files] : levels.files;
    const own = { ...levels, files };
    const values = resolve(issuerOptions, own);
    const client = entry?.credentials
      ? namedCredentials(entry.credentials, entry.name, levels.environment)
      : undefined;
    return { issuer, ...issuerRules(values, client) };
  });
  if (all.length > 1) assertApart(all, levels);
  return all;
}

/** The rules as flag, variable and file have them, for an issuer without an entry. Throws AppError `usage`. */
export function issuerRules(
  values: Values<typeof issuerOptions>,
  client = credentials(values.introspectionClientId, values.introspectionClientSecret, introspectionId),
): IssuerRules {
  const scope = values.requiredScope;
  const rules: IssuerRules = {
    metadata: values.metadata,
    userinfoUrl: values.userinfoUrl,
    verify: values.verify ?? 'auto',
    audience: values.audience,
    requiredScope:
      scope === undefined ? undefined : scope === 'none' ? [] : scope.split(/\s+/).filter(Boolean),
    allow: claimRules(values.allow ?? []),
    introspection: client,
  };
  if (rules.verify === 'userinfo' && asksForMore(rules)) {
    const what = rules.audience
      ? '--audience'
      : rules.requiredScope?.length
        ? '--required-scope'
        : '--allow client_id';
    throw usage(`${what} cannot be checked by userinfo`, 'leave one out, or use --verify jwt');
  }
  if (rules.verify === 'introspection' && !client) {
    throw usage('--verify introspection needs a client', `set ${introspectionId} and ${introspectionSecret}`);
  }
  return Object.freeze(rules);
}

function claimRules(pairs: readonly (readonly [claim: string, value: string])[]): readonly ClaimRule[] {
  const claims = [...new Set(pairs.map(([claim]) => claim))];
  return claims.map((claim) => ({
    claim,
    values: pairs.flatMap(([name, value]) => (name === claim ? [value] : [])),
  }));
}

function credentials(
  id: string | undefined,
  key: ClientCredentials['secret'] | undefined,
  from: string,
): ClientCredentials | undefined {
  if (id !== undefined && key !== undefined) return { id, secret: key };
  if (id === undefined && key === undefined) return undefined;
  throw usage(`${from} is one half of a pair`, `set ${from} and ${from.replace('_ID', '_SECRET')}`);
}

/** The pair of variables that an entry's `credentials` names: a secret is never in the file. */
function namedCredentials(
  suffix: string,
  name: string,
  environment: Levels['environment'],
): ClientCredentials {
  const from = `${introspectionId}_${suffix}`;
  const options = {
    id: text({ variables: [from], help: '' }),
    key: secret({ variables: [`${introspectionSecret}_${suffix}`], help: '' }),
  };
  const { id, key } = resolve(options, { flags: new Map(), environment, files: [] });
  const client = credentials(id, key, from);
  if (client) return client;
  throw usage(`${name}: "credentials" wants ${from}`, `set ${from} and ${introspectionSecret}_${suffix}`);
}

interface Entry {
  readonly name: string;
  readonly issuer: string;
  readonly credentials: string | undefined;
  readonly members: JsonObject;
}

function readEntries(member: unknown): readonly Entry[] {
  if (member === undefined) return [];
  if (!Array.isArray(member)) throw usage('"issuers" in the configuration file is a list of objects');
  return member.map((entry: unknown, i) => {
    const name = `"issuers" in the configuration file, entry ${i + 1}`;
    if (!isObject(entry)) throw usage(`${name} is no object`);
    const unknown = Object.keys(entry).find((key) => !entryMembers.includes(key));
    if (unknown !== undefined) {
      const near = nearest(unknown, entryMembers);
      throw usage(
        `${name}: there is no setting "${display(unknown, 80)}"`,
        near && `did you mean "${near}"?`,
      );
    }
    const { issuer, credentials: suffix, ...members } = entry;
    if (typeof issuer !== 'string') throw usage(`${name} has no "issuer"`);
    if (suffix !== undefined && (typeof suffix !== 'string' || !/^[A-Z0-9_]{1,64}$/.test(suffix))) {
      throw usage(`${name}: "credentials" is the end of a variable's name: capitals, digits and _`);
    }
    return { name, issuer: readTrustedUrl(issuer, `${name}: "issuer"`), credentials: suffix, members };
  });
}

/** What belongs to one authorization server must not be shared by several, least of all a secret. */
function assertApart(all: readonly IssuerSettings[], { environment }: Levels): void {
  if (environment[introspectionId] || environment[introspectionSecret]) {
    throw usage(
      `with several issuers ${introspectionId} does not say whose client it is`,
      'name the variables after it, and write "credentials" in its entry of "issuers" in the configuration file',
    );
  }
  for (const member of ['metadata', 'userinfoUrl'] as const) {
    const given = all.flatMap((one) => one[member] ?? []);
    if (new Set(given).size < given.length) {
      throw usage(
        `"${member}" is of one issuer, and there are ${all.length}`,
        'write it in its entry of "issuers"',
      );
    }
  }
}

const usage = (message: string, hint?: string) => new AppError('usage', message, { hint });
