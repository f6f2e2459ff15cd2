import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * An environment in which the command's wall clock is wrong. In: a folder for its module; how far the clock is
 * ahead, in milliseconds.
 */
export function wrongClock(folder: string, ahead: number): { NODE_OPTIONS: string } {
  const path = join(folder, `clock${ahead}.mjs`);
  writeFileSync(
    path,
    `const Right = Date;
const now = () => Right.now() + ${ahead};
globalThis.Date = class Date extends Right {
  constructor(...parts) {
    if (parts.length === 0) super(now());
    else super(...parts);
  }
  static now = now;
};
`,
  );
  return { NODE_OPTIONS: `--import=${pathToFileURL(path).href}` };
}
