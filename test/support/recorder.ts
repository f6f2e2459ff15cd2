import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Recorded {
  readonly argv: readonly string[];
  readonly environment: string;
}

/** A program in the place of a browser: it notes how it was started, and does nothing. */
export interface Recorder {
  readonly program: string;
  /** Each start of it, in no order. */
  starts(): Recorded[];
}

/** In: a folder of the test, the program's name (`xdg-open`, say). Linux. */
export function recorder(folder: string, name = 'browser'): Recorder {
  const notes = join(folder, `${name}-notes`);
  const programs = join(folder, `${name}-bin`);
  mkdirSync(notes, { recursive: true });
  mkdirSync(programs, { recursive: true });
  const program = join(programs, name);
  // The kernel's own record: what a shell would have made of the arguments is seen as well.
  const script = `#!/bin/sh
cat /proc/$$/environ > '${notes}'/$$.environ
cat /proc/$$/cmdline > '${notes}'/$$.part && mv '${notes}'/$$.part '${notes}'/$$.cmdline
`;
  writeFileSync(program, script);
  chmodSync(program, 0o755);
  return {
    program,
    starts: () =>
      readdirSync(notes)
        .filter((file) => file.endsWith('.cmdline'))
        .map((file) => {
          const environ = join(notes, file.replace('cmdline', 'environ'));
          // The interpreter and the script come first.
          const argv = readFileSync(join(notes, file), 'utf8').split('\0').slice(2, -1);
          return { argv, environment: existsSync(environ) ? readFileSync(environ, 'utf8') : '' };
        }),
  };
}
