import { AppError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import type { ClientCredentials, IssuerSettings } from '../../lib/settings.ts';
import { display, nearest } from '../../lib/text.ts';
import { isLoopbackHost, secureUrl } from '../../lib/url.ts';
import { type PublicAddress, publicAddress, type ResourcePath } from '../address.ts';
import { asksForMore } from '../verify/rules.ts';
import type { GateOptions, IssuerOptions, Rules } from './types.ts';

const ruleNames = [
  'verify',
  'audience',
  'requiredScope',
  'allow',
  'introspection',
  'metadata',
  'userinfoUrl',
] as const satisfies readonly (keyof Rules)[];
const optionNames: readonly string[] = [
  ...ruleNames,
  'resource',
  'issuer',
  'name',
  'claims',
  'stale',
  'allowOrigin',
  'allowHost',
  'trustProxy',
  'bindSessions',
  'passToken',
  'ca',
  'log',
] satisfies readonly (keyof GateOptions)[];
const ways = ['auto', 'jwt', 'userinfo', 'introspection'] as const;

/** A name that is mistyped would be a guard that is not there. Throws AppError `usage`. */
export function assertKnown(options: GateOptions): void {
  assertNames(options, optionNames, 'createGate');
  for (const issuer of issuerList(options)) {
    assertNames(issuer, ['issuer', ...ruleNames], `issuer ${issuer.issuer}`);
  }
}

function assertNames(given: object, known: readonly string[], where: string): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  throw usage(`${where}: there is no option "${display(unknown, 80)}"`, near && `did you mean "${near}"?`);
}

/** The authorization servers, each with its rules. Throws AppError `usage` or `insecure_url`. */
export function issuersOf(options: GateOptions): readonly IssuerSettings[] {
  const issuers = issuerList(options).map((own) => settle(own, options));
  if (issuers.length === 0) throw usage('createGate: "issuer" names no authorization server');
  const twice = issuers.find(({ issuer }, i) => issuers.findIndex((one) => one.issuer === issuer) !== i);
  if (twice) throw usage(`the issuer ${display(twice.issuer, 200)} is named twice`);
  const shared = (['introspection', 'metadata', 'userinfoUrl'] as const).find((name) => options[name]);
  if (shared && issuers.length > 1) {
    throw usage(
      `"${shared}" is of one issuer, and there are ${issuers.length}`,
      'write it beside its "issuer"',
    );
  }
  return issuers;
}

function issuerList({ issuer }: GateOptions): readonly IssuerOptions[] {
  return [issuer ?? []].flat().map((one) => (typeof one === 'string' ? { issuer: one } : one));
}

function settle(own: IssuerOptions, common: Rules): IssuerSettings {
  const { issuer } = own;
  secureUrl(issuer, 'the issuer');
  const of = <K extends keyof Rules>(name: K): Rules[K] => own[name] ?? common[name];
  const scope = of('requiredScope');
  const rules: IssuerSettings = {
    issuer,
    metadata: of('metadata'),
    userinfoUrl: of('userinfoUrl'),
    verify: of('verify') ?? 'auto',
    audience: of('audience'),
    requiredScope: typeof scope === 'string' ? scope.split(/\s+/).filter(Boolean) : scope,
    allow: Object.entries(of('allow') ?? {}).map(([claim, values]) => ({ claim, values: [values].flat() })),
    introspection: credentialsOf(of('introspection')),
  };
  if (!ways.includes(rules.verify)) throw usage(`"verify" is one of ${ways.join(', ')}`);
  if (rules.verify === 'userinfo' && asksForMore(rules)) {
    throw usage(`userinfo at ${issuer} checks no audience, scope or client`, 'use another "verify"');
  }
  if (rules.verify === 'introspection' && !rules.introspection) {
    throw usage(`introspection at ${issuer} needs a client`, 'name its "introspection" credentials');
  }
  return Object.freeze(rules);
}

function credentialsOf(given: Rules['introspection']): ClientCredentials | undefined {
  if (!given) return undefined;
  const { clientId, clientSecret } = given;
  if (!clientId || !clientSecret) throw usage('"introspection" has a clientId and a clientSecret');
  return { id: clientId, secret: new Secret(clientSecret) };
}

/** The protected resources and where they are reached. */
export interface Protected {
  readonly address: PublicAddress;
  readonly paths: readonly ResourcePath[];
}

/** Throws AppError `usage`. */
export function protectedBy({ resource, allowOrigin = [], allowHost = [] }: GateOptions): Protected {
  const urls = [resource].flat().map(readResource);
  const [first] = urls;
  if (!first) throw usage('createGate: "resource" names no URL');
  const stray = urls.find(({ origin }) => origin !== first.origin);
  if (stray) throw usage(`one gate has one origin: ${first.origin}, not ${stray.origin}`, 'make two gates');
  const paths = [...new Set(urls.map(({ pathname }) => (pathname === '/' ? '' : pathname)))];
  const isLocal = first.protocol === 'http:' && isLoopbackHost(first.hostname);
  const publicUrl = isLocal ? undefined : new URL(first.origin);
  const port = Number(first.port) || (first.protocol === 'https:' ? 443 : 80);
  const address = publicAddress({ host: first.hostname, publicUrl, allowOrigin }, port, paths);
  const more = new Set(allowHost.map((host) => host.toLowerCase()));
  return {
    paths,
    address: {
      ...address,
      siteOf: (host) =>
        address.siteOf(host) ?? (host && more.has(host.toLowerCase()) ? address.sites[0] : undefined),
    },
  };
}

function readResource(text: string): URL {
  const shown = display(text, 200);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:') {
    throw usage(
      `the resource is a URL that clients use, not "${shown}"`,
      'resource: "https://example.com/mcp"',
    );
  }
  if (url.search || url.hash || url.username || url.password) {
    throw usage(`the resource has neither query nor fragment nor user name: "${shown}"`);
  }
  return url;
}

const usage = (message: string, hint?: string) => new AppError('usage', message, { hint });
