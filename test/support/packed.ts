import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './command.ts';

const run = promisify(execFile);

/** The package as it would be published, unpacked in a folder of its own. */
export interface Packed {
  /** The folder that holds it as `package`. */
  readonly folder: string;
  readonly path: string;
  /** The files in it. */
  readonly files: readonly string[];
  remove(): Promise<void>;
}

/** Packs what is built: `npm test` made it, and a second build would disturb the other tests. */
export async function packPackage(): Promise<Packed> {
  const folder = await mkdtemp(join(tmpdir(), 'whoami-package-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: root,
  });
  type Entry = { filename: string; files: { path: string }[] };
  const [one] = Object.values(JSON.parse(stdout) as Entry[] | Record<string, Entry>);
  await run('tar', ['-xzf', join(folder, one?.filename ?? ''), '-C', folder]);
  return {
    folder,
    path: join(folder, 'package'),
    files: one?.files.map(({ path }) => path) ?? [],
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
