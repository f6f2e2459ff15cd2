import { randomBytes } from 'node:crypto';
import { link, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, hasCode } from '../lib/errors.ts';
import { type Attempt, isHeld, listenAt, type Turnstile } from './lock-socket.ts';

/** The shortest `sun_path` of a platform that Node runs on (macOS), its closing zero included. Bytes. */
const longestPath = 104;
/** Files of earlier holders that stay: as many as changes of hands that one look at the folder may miss. */
const kept = 8;

/**
 * A lock made of socket files, for platforms where a socket's file outlives its process.
 *
 * Removing a dead holder's file and making an own one are two steps, and between two processes that do both the
 * lock would be held twice. So no file is ever replaced: each holder has a number, its file is `ID.NUMBER`, and
 * a process takes number n + 1 only if the highest number, n, is dead. `link` makes a name or fails, so one of
 * many wins; the file that it names was listening before it got the name, so a holder never looks dead. Holders
 * remove old files, but never the highest; a process that acted on an old view of the folder finds a higher
 * number when it looks again after linking, and withdraws.
 */
export function createSocketFiles(configDir: string, id: string): Turnstile {
  const inConfig = join(configDir, 'locks');
  const fits = Buffer.byteLength(join(inConfig, `${id}.t00000000`)) < longestPath;
  // Not os.tmpdir(): clients start us with and without TMPDIR, and all must meet in one place.
  const folder = fits ? inConfig : join('/tmp', `mcp-whoami-${process.getuid?.() ?? 0}`);
  const fileOf = (number: number) => join(folder, `${id}.${number}`);

  async function numbers(): Promise<number[]> {
    const found = (await readdir(folder)).flatMap((name) => {
      const [owner, number = ''] = name.split('.');
      return owner === id && /^\d+$/.test(number) ? [Number(number)] : [];
    });
    return found.sort((a, b) => b - a);
  }

  async function attempt(): Promise<Attempt> {
    await makePrivate(folder);
    const [highest = 0] = await numbers();
    if (highest > 0 && (await isHeld(fileOf(highest)))) return { holder: fileOf(highest) };
    const own = join(folder, `${id}.t${randomBytes(4).toString('hex')}`);
    const lock = await listenAt(own);
    const mine = highest + 1;
    try {
      await link(own, fileOf(mine));
    } catch (error) {
      await lock.release();
      if (hasCode(error, 'EEXIST', 'ENOENT')) return { holder: fileOf(mine) };
      throw error;
    }
    const seen = await numbers();
    const newest = Math.max(...seen);
    if (newest > mine) {
      await rm(fileOf(mine), { force: true });
      await lock.release();
      return { holder: fileOf(newest) };
    }
    await sweep(seen, mine);
    return { lock };
  }

  /** Removes what earlier holders left: old numbers, and the first names of those that were killed. */
  async function sweep(seen: readonly number[], mine: number): Promise<void> {
    for (const number of seen) if (number <= mine - kept) await rm(fileOf(number), { force: true });
    for (const name of await readdir(folder)) {
      const left = join(folder, name);
      if (name.startsWith(`${id}.t`) && !(await isHeld(left))) await rm(left, { force: true });
    }
  }

  return { attempt };
}

/** Makes the folder, and makes sure that nobody else can put a socket into it. */
async function makePrivate(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  const uid = process.getuid?.();
  if (!found.isDirectory() || (uid !== undefined && found.uid !== uid) || (found.mode & 0o022) !== 0) {
    throw new AppError('vault_failed', `${folder} belongs to somebody else, or others may write to it`, {
      hint: `remove ${folder}, or make it yours alone (chmod 700)`,
    });
  }
}
