import { isObject, type JsonObject } from '../lib/json.ts';
import { version } from '../lib/version.ts';
import type { Catalogue, ListMethod } from './catalogue.ts';

/** The revisions that are negotiated by `initialize`, oldest first. */
const revisions = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'] as const;
export const latestRevision = '2025-11-25';

/** What the client is told that can be done, before the remote has said so. */
const supposed: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
  logging: {},
  completions: {},
};

/** How we introduce ourselves when we speak for ourselves: to fill the catalogue, or before the client has. */
export const ownInitialize: JsonObject = {
  protocolVersion: latestRevision,
  capabilities: {},
  clientInfo: { name: 'mcp-whoami', version },
};

/**
 * The result of `initialize` that is given without asking the remote, as JSON text.
 *
 * In: the revision that the client wants, and what was saved of the server. The saved revision is given, or the
 * client's where that is older; nothing saved: the client's, as far as we know it.
 */
export function localGreeting(wanted: unknown, saved: Catalogue | undefined): string {
  const result = saved ? (JSON.parse(saved.initialize) as JsonObject) : undefined;
  const protocolVersion = negotiate(wanted, result?.protocolVersion);
  if (!result) {
    const serverInfo = { name: 'mcp-whoami', version };
    return JSON.stringify({ protocolVersion, capabilities: supposed, serverInfo });
  }
  return JSON.stringify({ ...result, protocolVersion, capabilities: announcing(result.capabilities) });
}

function negotiate(wanted: unknown, saved: unknown): string {
  const asked = revisions.find((revision) => revision === wanted) ?? latestRevision;
  const kept = revisions.find((revision) => revision === saved);
  return kept !== undefined && kept < asked ? kept : asked;
}

/** The capabilities with `listChanged`: the lists given from the catalogue are corrected that way. */
function announcing(capabilities: unknown): JsonObject {
  const told: Record<string, unknown> = isObject(capabilities) ? { ...capabilities } : {};
  for (const family of ['tools', 'prompts', 'resources']) {
    const declared = told[family];
    if (isObject(declared)) told[family] = { ...declared, listChanged: true };
  }
  return told;
}

export const signInTool = 'sign_in';

/** What each list holds while nothing is known of the server, as JSON text. */
export function placeholderList(method: ListMethod, server: URL): string {
  return method === 'tools/list' ? JSON.stringify({ tools: [describeSignIn(server)] }) : emptyList(method);
}

export function emptyList(method: ListMethod): string {
  return JSON.stringify({ [itemsOf[method]]: [] });
}

/** The member of a list's result that holds its items. */
export const itemsOf: Readonly<Record<ListMethod, string>> = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
};

function describeSignIn(server: URL): JsonObject {
  return {
    name: signInTool,
    title: 'Sign in',
    description: `Signs you in to ${server.host}, or tells how. Its tools are listed once you are signed in.`,
    inputSchema: { type: 'object', properties: {} },
    annotations: { title: 'Sign in', destructiveHint: false, idempotentHint: true, openWorldHint: true },
  };
}
