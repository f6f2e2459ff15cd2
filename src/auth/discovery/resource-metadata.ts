import { isScope } from '../../lib/challenge.ts';
import { AppError } from '../../lib/errors.ts';
import { parseJsonObject, stringMember, stringsMember } from '../../lib/json.ts';
import { display } from '../../lib/text.ts';
import { canonicalResource, secureUrl, wellKnown } from '../../lib/url.ts';
import { type Reach, readDocument, serverFailure } from './reach.ts';

/** Protected resource metadata (RFC 9728 2), checked against the server that was asked for. */
export interface ResourceMetadata {
  /** Verbatim: goes into every request as it is (RFC 8707). */
  readonly resource: string;
  readonly issuers: readonly string[];
  readonly scopes: readonly string[];
  /** Only tokens bound to a key are taken (`dpop_bound_access_tokens_required`). */
  readonly dpopRequired: boolean;
  /** Algorithms of proofs that are taken; undefined: not told. */
  readonly dpopAlgorithms: readonly string[] | undefined;
}

const name = 'oauth-protected-resource';

/**
 * Reads a server's protected resource metadata: where the challenge says, else under the well-known name with
 * the path inserted, else at the root (MCP authorization server discovery). Out: undefined when there is none.
 *
 * Throws AppError `metadata_invalid` (of another resource, or not usable), `server_unreachable`,
 * `insecure_url`.
 */
export async function readResourceMetadata(
  reach: Reach,
  server: URL,
  fromChallenge: string | undefined,
): Promise<ResourceMetadata | undefined> {
  if (fromChallenge !== undefined) {
    const found = await read(reach, server, fromChallenge);
    if (found) return found;
  }
  const bare = new URL(server.origin);
  const places = new Set([wellKnown(server, name).href, wellKnown(bare, name).href]);
  for (const place of places) {
    const found = await read(reach, server, place);
    if (found) return found;
  }
  return undefined;
}

/** Only the document made for this very URL: enough to see whether an open server offers a sign-in too. */
export async function readOwnResourceMetadata(
  reach: Reach,
  server: URL,
): Promise<ResourceMetadata | undefined> {
  return read(reach, server, wellKnown(server, name).href);
}

async function read(reach: Reach, server: URL, place: string): Promise<ResourceMetadata | undefined> {
  const url = secureUrl(place, "the address of the server's resource metadata", reach.policy);
  const answer = await readDocument(reach, url.href, 'the resource metadata').catch((error: unknown) => {
    throw serverFailure(error, url);
  });
  if (answer.status >= 500) {
    throw new AppError('server_unreachable', `${url.href} answers with status ${answer.status}`, {
      hint: 'try again later',
    });
  }
  // A site that answers every path with a page has no metadata, whatever its status says.
  if (answer.status !== 200 || !answer.body.trimStart().startsWith('{')) return undefined;
  const document = parseJsonObject(answer.body, url.href);
  const issuers = stringsMember(document, 'authorization_servers') ?? [];
  if (issuers.length === 0) {
    throw new AppError('metadata_invalid', `${url.href} names no authorization server`, {
      hint: 'the server is set up wrongly: tell its operator (RFC 9728, authorization_servers)',
    });
  }
  return {
    resource: checkResource(stringMember(document, 'resource'), server, url),
    issuers,
    scopes: (stringsMember(document, 'scopes_supported') ?? []).filter(
      (scope) => isScope(scope) && !scope.includes(' '),
    ),
    dpopRequired: document.dpop_bound_access_tokens_required === true,
    dpopAlgorithms: stringsMember(document, 'dpop_signing_alg_values_supported'),
  };
}

/** RFC 9728 3.3: the resource must be the one asked for, or a parent of it. Same origin, whole path segments. */
function checkResource(resource: string | undefined, server: URL, from: URL): string {
  if (resource !== undefined && covers(resource, server)) return resource;
  const claimed = resource === undefined ? 'no resource at all' : display(resource, 200);
  throw new AppError('metadata_invalid', `${from.href} describes ${claimed}, not ${server.href}`, {
    hint: 'use the URL that the server itself names, or tell its operator (RFC 9728 3.3)',
  });
}

export function covers(resource: string, server: URL): boolean {
  if (!URL.canParse(resource)) return false;
  const parent = new URL(resource);
  if (parent.origin !== server.origin || parent.username || parent.password || parent.hash) return false;
  const [own, asked] = [withoutSlash(canonicalResource(parent)), withoutSlash(canonicalResource(server))];
  if (own === asked) return true;
  if (parent.search) return false;
  const path = withoutSlash(parent.pathname);
  return withoutSlash(server.pathname) === path || server.pathname.startsWith(`${path}/`);
}

const withoutSlash = (text: string) => text.replace(/\/$/, '');
