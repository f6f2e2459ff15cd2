import type { IncomingMessage, ServerResponse } from 'node:http';
import { json, type Listening, listen } from './http.ts';

export interface ResourceBehaviour {
  /** Full control; true: the request is answered. */
  before?: (request: IncomingMessage, response: ServerResponse, url: URL) => boolean | undefined;
  /** Changes the protected resource metadata; undefined: there is none. */
  metadata?: (honest: Record<string, unknown>) => Record<string, unknown> | undefined;
  /** Parameters of the Bearer challenge; default: `resource_metadata` and `scope`. */
  challenge?: string;
  /** Where the metadata is; default: the path-inserted form. */
  metadataAt?: readonly string[];
}

export interface Resource extends Listening {
  /** The MCP endpoint. */
  readonly url: URL;
  readonly behaviour: ResourceBehaviour;
  readonly seen: string[];
}

/** A protected MCP server, as far as somebody without a token sees it. */
export async function startResource(
  issuer: () => string,
  behaviour: ResourceBehaviour = {},
  path = '/mcp',
): Promise<Resource> {
  const seen: string[] = [];
  const server: Listening = await listen((request, response) => {
    const url = new URL(request.url ?? '', server.origin);
    seen.push(`${request.method} ${url.pathname}`);
    if (behaviour.before?.(request, response, url)) return;
    const places = behaviour.metadataAt ?? [`/.well-known/oauth-protected-resource${path}`];
    if (places.includes(url.pathname)) {
      const honest = {
        resource: `${server.origin}${path}`,
        authorization_servers: [issuer()],
        scopes_supported: ['openid', 'profile'],
      };
      const document = behaviour.metadata ? behaviour.metadata(honest) : honest;
      return document ? json(response, 200, document) : response.writeHead(404).end();
    }
    if (url.pathname !== path) return response.writeHead(404).end();
    const challenge =
      behaviour.challenge ??
      `resource_metadata="${server.origin}/.well-known/oauth-protected-resource${path}", scope="openid profile"`;
    return response.writeHead(401, { 'www-authenticate': `Bearer ${challenge}` }).end();
  });
  return { ...server, url: new URL(`${server.origin}${path}`), behaviour, seen };
}

/** A server that answers MCP to everybody. */
export function openMcp(_request: IncomingMessage, response: ServerResponse): boolean {
  json(response, 200, { jsonrpc: '2.0', id: 1, result: { protocolVersion: '2025-11-25' } });
  return true;
}

/** 404 to everything. */
export function nothingThere(_request: IncomingMessage, response: ServerResponse): boolean {
  response.writeHead(404).end();
  return true;
}
