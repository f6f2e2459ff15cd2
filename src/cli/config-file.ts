import { join } from 'node:path';
import { applyEdits, modify, type ParseError, parse } from 'jsonc-parser';
import { AppError, reasonOf } from '../lib/errors.ts';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { isObject, type JsonObject, stringMember } from '../lib/json.ts';

/**
 * `config.json`: settings that a person writes, and what `login` was told about each server. Comments and
 * trailing commas are allowed and survive our own edits. Never a secret.
 */
export interface ConfigFile {
  readonly path: string;
  /** Members at the top: settings for every server. */
  readonly global: JsonObject;
  /** Members of the part `serve`. */
  readonly serve: JsonObject;
  readonly defaultServer: string | undefined;
  /** What is remembered of a server under a profile. */
  remembered(server: string, profile: string): JsonObject;
  setDefaultServer(server: string): Promise<void>;
  remember(server: string, profile: string, members: JsonObject): Promise<void>;
}

/** Reads the file; one that is not there is empty. Throws AppError `usage` when it cannot be understood. */
export async function openConfigFile(configDir: string): Promise<ConfigFile> {
  const path = join(configDir, 'config.json');
  const cannot = (what: string, cause: unknown) =>
    new AppError('vault_failed', `cannot ${what} ${path}: ${reasonOf(cause)}`, {
      hint: 'make the folder yours again, or name another one in MCP_WHOAMI_CONFIG_DIR',
      cause,
    });
  async function load(): Promise<string> {
    try {
      return (await readFileIfThere(path)) ?? '{}\n';
    } catch (cause) {
      throw cannot('read', cause);
    }
  }
  let text = await load();
  const document = read(text, path);

  async function edit(at: readonly (string | number)[], value: unknown): Promise<void> {
    // Read again: another process may have written since.
    text = await load();
    read(text, path);
    const edits = modify(text, [...at], value, {
      formattingOptions: { insertSpaces: true, tabSize: 2, eol: '\n' },
    });
    await writeFileAtomically(path, applyEdits(text, edits)).catch((cause: unknown) => {
      throw cannot('write', cause);
    });
  }
  const servers = (from: JsonObject) => (Array.isArray(from.servers) ? from.servers.filter(isObject) : []);
  const position = (from: JsonObject, server: string, profile: string) =>
    servers(from).findIndex(
      (entry) => entry.url === server && (stringMember(entry, 'profile') ?? 'default') === profile,
    );

  return {
    path,
    global: document,
    serve: isObject(document.serve) ? document.serve : {},
    defaultServer: stringMember(document, 'defaultServer'),
    remembered: (server, profile) => servers(document)[position(document, server, profile)] ?? {},
    setDefaultServer: (server) => edit(['defaultServer'], server),
    async remember(server, profile, members) {
      const current = read(await load(), path);
      const at = position(current, server, profile);
      const entry = { url: server, ...(profile === 'default' ? {} : { profile }), ...members };
      if (!Array.isArray(current.servers)) return edit(['servers'], [entry]);
      return edit(['servers', at < 0 ? current.servers.length : at], entry);
    },
  };
}

function read(text: string, path: string): JsonObject {
  const errors: ParseError[] = [];
  const value: unknown = parse(text, errors, { allowTrailingComma: true });
  const first = errors[0];
  if (first || !isObject(value)) {
    const line = text.slice(0, first?.offset ?? 0).split('\n').length;
    throw new AppError('usage', `${path} cannot be read: line ${line} is not JSON (comments are fine)`, {
      hint: 'mend that line, or move the file away',
    });
  }
  return value;
}
