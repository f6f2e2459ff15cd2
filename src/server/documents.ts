import type { ResourcePath, Site } from './address.ts';
import { metadataPath } from './challenge.ts';
import { jsonReply, type Reply, refusal } from './exchange.ts';
import type { Verification } from './verify/verification.ts';

const cacheControl = 'max-age=300';

export interface DocumentOptions {
  /** Paths that public routes start with. */
  readonly prefixes: readonly string[];
  /** The protected resources, as paths below each prefix. */
  readonly resources: readonly ResourcePath[];
  readonly verification: Verification;
  /** What is behind the gate, for people to read. */
  readonly name: string;
}

/**
 * The public documents, by path: protected resource metadata of each resource (RFC 9728 3), and the
 * authorization server's metadata as clients of the 2025-03-26 revision look for it, on our own origin. They know
 * of one such server only: it is the first of several.
 *
 * Out: what answers a GET at the site that it named.
 */
export function documentRoutes(options: DocumentOptions): ReadonlyMap<string, (site: Site) => Reply> {
  const { prefixes, resources, verification } = options;
  const routes = new Map<string, (site: Site) => Reply>();
  for (const prefix of prefixes) {
    for (const resource of resources) {
      routes.set(metadataPath(prefix, resource), (site) =>
        jsonReply(200, resourceMetadata(site, resource, options), { 'cache-control': cacheControl }),
      );
    }
    for (const resource of new Set(['', ...resources])) {
      routes.set(`/.well-known/oauth-authorization-server${prefix}${resource}`, () =>
        mirrorProvider(verification),
      );
    }
  }
  return routes;
}

function resourceMetadata(site: Site, resource: ResourcePath, { verification, name }: DocumentOptions) {
  const { providers, offeredScopes } = verification;
  const scopes = offeredScopes();
  return {
    resource: `${site.base}${resource}`,
    authorization_servers: providers.map((provider) => provider.issuer()),
    ...(scopes.length > 0 ? { scopes_supported: scopes } : {}),
    bearer_methods_supported: ['header'],
    resource_name: name,
  };
}

/** The provider's document byte by byte: its issuer is its own, not ours. */
function mirrorProvider({ providers }: Verification): Reply {
  const known = providers[0]?.current();
  if (!known) {
    const text = 'The metadata of the authorization server is not known yet';
    return refusal(503, 'temporarily_unavailable', text, { 'retry-after': '2' });
  }
  const { document: body } = known.metadata;
  if (body === undefined) return refusal(404, 'not_found', 'The authorization server publishes no metadata');
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': cacheControl },
    body,
  };
}
