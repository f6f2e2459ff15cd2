import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Home {
  readonly path: string;
  /** An environment for the command: this home, secrets in the encrypted file, no browser. */
  readonly env: Record<string, string>;
  /** The files below it that contain `text`. */
  filesWith(text: string): string[];
  remove(): void;
}

/** A new, empty home folder. */
export function makeHome(env: Record<string, string> = {}): Home {
  const path = mkdtempSync(join(tmpdir(), 'whoami-home-'));
  const files = (dir: string): string[] =>
    readdirSync(dir).flatMap((name) => {
      const file = join(dir, name);
      return statSync(file).isDirectory() ? files(file) : [file];
    });
  return {
    path,
    env: {
      HOME: path,
      XDG_RUNTIME_DIR: join(path, 'no-runtime'),
      TMPDIR: tmpdir(),
      MCP_WHOAMI_STORE: 'file',
      BROWSER: 'none',
      ...env,
    },
    filesWith: (text) => files(path).filter((file) => readFileSync(file).includes(text)),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
