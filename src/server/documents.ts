import type { Site } from './address.ts';
import { metadataPath, type ResourcePath } from './challenge.ts';
import { answer, answerJson, type Exchange, refuse } from './exchange.ts';
import type { Verification } from './verify/verification.ts';

const resourcePaths: readonly ResourcePath[] = ['', '/sse', '/mcp'];
const cacheControl = 'max-age=300';

/**
 * The public documents, by path: protected resource metadata of each resource (RFC 9728 3), and the
 * authorization server's metadata as clients of the 2025-03-26 revision look for it, on our own origin. They know
 * of one such server only: it is the first of several.
 *
 * In: the paths that public routes start with, who verifies tokens, and the name of what is
 * behind the gate. Out: what answers a GET.
 */
export function documentRoutes(
  prefixes: readonly string[],
  verification: Verification,
  name: string,
): ReadonlyMap<string, (x: Exchange) => void> {
  const routes = new Map<string, (x: Exchange) => void>();
  for (const prefix of prefixes) {
    for (const resource of resourcePaths) {
      routes.set(metadataPath(prefix, resource), (x) =>
        answerJson(x, 200, resourceMetadata(x.site, resource, verification, name), {
          'cache-control': cacheControl,
        }),
      );
      routes.set(`/.well-known/oauth-authorization-server${prefix}${resource}`, (x) =>
        mirrorProvider(x, verification),
      );
    }
  }
  return routes;
}

function resourceMetadata(
  site: Site,
  resource: ResourcePath,
  { providers, offeredScopes }: Verification,
  name: string,
) {
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
function mirrorProvider(x: Exchange, { providers }: Verification): void {
  const known = providers[0]?.current();
  if (!known) {
    const text = 'The metadata of the authorization server is not known yet';
    refuse(x, 503, 'temporarily_unavailable', text, { 'retry-after': '2' });
  } else if (known.metadata.document === undefined) {
    refuse(x, 404, 'not_found', 'The authorization server publishes no metadata');
  } else {
    const headers = { 'content-type': 'application/json', 'cache-control': cacheControl };
    answer(x, 200, headers, known.metadata.document);
  }
}
