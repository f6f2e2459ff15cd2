import { createHash, randomBytes } from 'node:crypto';
import { link, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, hasCode, reasonOf } from '../lib/errors.ts';
import { readFileIfThere, writeFileAtomically } from '../lib/files.ts';
import { Secret } from '../lib/secret.ts';
import { createSeals, type Kind, type Opener } from './seal.ts';
import type { Vault } from './vault.ts';

/**
 * Secrets in sealed files, one an entry, under `<configDir>/vault`: for machines without a keychain.
 *
 * They are sealed under the passphrase, or, where none is set, under a random key that lies beside them: that
 * protects a copied entry or a careless look, not a copy of the whole folder. Files are 0600 in a folder of
 * 0700 and are replaced atomically, so a crash leaves the old or the new entry whole.
 */
export function createFileStore(
  configDir: string,
  passphrase: Secret | undefined,
): Vault & { readonly kind: 'file' } {
  const folder = join(configDir, 'vault');
  const keyPath = join(folder, 'key');
  const seals = createSeals();
  const fileOf = (key: string) =>
    join(folder, `${createHash('sha256').update(key).digest('hex').slice(0, 40)}.sealed`);

  async function openerFor(kind: Kind): Promise<Opener> {
    if (kind === 'key file') return { key: await readKey(keyPath) };
    if (passphrase) return { passphrase };
    throw new AppError('vault_failed', `the secrets in ${folder} are sealed with a passphrase`, {
      hint: 'set MCP_WHOAMI_PASSPHRASE, or log in again to seal them with a key file',
    });
  }

  async function load(key: string): Promise<Secret | undefined> {
    const sealed = await readFileIfThere(fileOf(key));
    return sealed === undefined
      ? undefined
      : new Secret(await seals.open(key, sealed, fileOf(key), openerFor));
  }

  async function save(key: string, value: Secret): Promise<void> {
    const opener = passphrase ? { passphrase } : { key: await readOrMakeKey(keyPath) };
    await writeFileAtomically(fileOf(key), await seals.seal(key, value.reveal(), opener));
  }

  return {
    kind: 'file',
    description: `the encrypted files in ${folder}`,
    load: (key) => load(key).catch(translated('read')),
    save: (key, value) => save(key, value).catch(translated('write to')),
    remove: (key) => rm(fileOf(key), { force: true }).catch(translated('remove from')),
  };

  function translated(what: string) {
    return (cause: unknown): never => {
      if (cause instanceof AppError) throw cause;
      throw new AppError('vault_failed', `cannot ${what} ${folder}: ${reasonOf(cause)}`, {
        hint: 'make the folder yours again, or name another one in MCP_WHOAMI_CONFIG_DIR',
        cause,
      });
    };
  }
}

async function readKey(path: string): Promise<Uint8Array> {
  const [key, { mode }] = await Promise.all([readFile(path), stat(path)]).catch((cause) => {
    throw new AppError('vault_failed', `the key of the encrypted files, ${path}, cannot be read`, {
      hint: 'run mcp-whoami login again: what was sealed with that key is lost',
      cause,
    });
  });
  if (key.length !== 32) {
    throw new AppError('vault_failed', `${path} is no key of ours: it is damaged`, {
      hint: `remove ${path} and run mcp-whoami login again`,
    });
  }
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new AppError('vault_failed', `${path} can be read by others`, { hint: `chmod 600 ${path}` });
  }
  return key;
}

/** Of many processes that make the key at the same moment, one wins: a link appears whole or not at all. */
async function readOrMakeKey(path: string): Promise<Uint8Array> {
  const known = await stat(path).catch(() => undefined);
  if (known) return readKey(path);
  const fresh = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFileAtomically(fresh, randomBytes(32));
    await link(fresh, path);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  } finally {
    await rm(fresh, { force: true });
  }
  return readKey(path);
}
