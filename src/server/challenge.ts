import type { ResourcePath, Site } from './address.ts';

export interface Challenge {
  readonly site: Site;
  readonly resource: ResourcePath;
  readonly scope: readonly string[];
  /** RFC 6750 3.1. Without credentials there is none. */
  readonly error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope';
  /** Fixed ASCII text without quotes. */
  readonly description?: string;
}

/** The value of `WWW-Authenticate` (RFC 6750 3, RFC 9728 5.1): one scheme, each parameter quoted. */
export function challengeText({ site, resource, scope, error, description }: Challenge): string {
  const parts: string[] = [];
  if (error) parts.push(`error="${error}"`);
  if (description) parts.push(`error_description="${description}"`);
  parts.push(`resource_metadata="${site.origin}${metadataPath(site.basePath, resource)}"`);
  if (scope.length > 0) parts.push(`scope="${scope.join(' ')}"`);
  return `Bearer ${parts.join(', ')}`;
}

/** RFC 9728 3.1: the well-known name goes between the host and the resource's path. */
export function metadataPath(basePath: string, resource: ResourcePath): string {
  return `/.well-known/oauth-protected-resource${basePath}${resource}`;
}
