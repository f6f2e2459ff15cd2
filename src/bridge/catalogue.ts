import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { isObject } from '../lib/json.ts';
import { canonicalResource } from '../lib/url.ts';

/** The lists that a server offers, by the method that asks for them. */
export const listMethods = [
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
] as const;
export type ListMethod = (typeof listMethods)[number];

/** What is known of a server while it cannot be asked. No secrets: it is what every signed-in client sees. */
export interface Catalogue {
  readonly transport: 'http' | 'sse' | undefined;
  /** The result of `initialize`, as JSON text. */
  readonly initialize: string;
  /** The result of each list, as JSON text, complete (no cursor). */
  readonly lists: Readonly<Partial<Record<ListMethod, string>>>;
}

export interface CatalogueStore {
  /** The saved catalogue; `undefined` when there is none or it cannot be used. Never throws. */
  load(): Promise<Catalogue | undefined>;
  /** Throws what the file system throws. */
  save(catalogue: Catalogue): Promise<void>;
}

/** A larger list is asked for anew each time. Characters. */
const largestKept = 4 * 1024 * 1024;

/** In: the configuration folder, and whose catalogue it is: one file for each server and profile. */
export function openCatalogue(configDir: string, server: URL, profile: string): CatalogueStore {
  const resource = canonicalResource(server);
  const path = join(configDir, 'catalogue', `${nameOf(resource, profile)}.json`);

  async function load(): Promise<Catalogue | undefined> {
    try {
      return readCatalogue(await readFileIfThere(path), resource, profile);
    } catch {
      return undefined;
    }
  }

  async function save({ transport, initialize, lists }: Catalogue): Promise<void> {
    const kept = Object.fromEntries(Object.entries(lists).filter(([, text]) => text.length <= largestKept));
    const content = { version: 1, server: resource, profile, transport, initialize, lists: kept };
    await writeFileAtomically(path, `${JSON.stringify(content, undefined, 1)}\n`);
  }

  return { load, save };
}

function nameOf(server: string, profile: string): string {
  const key = [server, profile].map((part) => `${part.length}:${part}`).join('');
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}

function readCatalogue(text: string | undefined, server: string, profile: string): Catalogue | undefined {
  if (text === undefined) return undefined;
  const file: unknown = JSON.parse(text);
  if (!isObject(file) || file.version !== 1 || file.server !== server || file.profile !== profile)
    return undefined;
  const { transport, initialize, lists } = file;
  if (typeof initialize !== 'string' || !isObject(JSON.parse(initialize)) || !isObject(lists))
    return undefined;
  const usable: Partial<Record<ListMethod, string>> = {};
  for (const method of listMethods) {
    const list = lists[method];
    if (typeof list === 'string' && isObject(JSON.parse(list))) usable[method] = list;
  }
  return {
    transport: transport === 'http' || transport === 'sse' ? transport : undefined,
    initialize,
    lists: usable,
  };
}
