import type { Writable } from 'node:stream';
import type { Environment } from '../../lib/desktop.ts';

/** Standard error as a person sees it: lines that stay, and on a terminal one below them that changes. */
export interface Screen {
  /** What can be shown; without a terminal that obeys, nothing but lines that stay. */
  readonly can: { readonly change: boolean; readonly colour: boolean; readonly unicode: boolean };
  /** Of the terminal as it is now. Characters. */
  size(): { readonly columns: number; readonly rows: number };
  /** Whole lines, their ends included. */
  write(lines: string): void;
  /** Shows or replaces the line that changes, cut to the width; `undefined` takes it away. */
  status(line: string | undefined): void;
}

export interface ScreenOptions {
  readonly stream: Writable & {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  readonly environment: Environment;
  readonly platform: NodeJS.Platform;
}

const eraseLine = '\r\u001b[K';

export function createScreen({ stream, environment, platform }: ScreenOptions): Screen {
  const change = stream.isTTY === true && environment.TERM !== 'dumb';
  const can = {
    change,
    colour: change && !environment.NO_COLOR,
    unicode: change && speaksUnicode(environment, platform),
  };
  let shown: string | undefined;

  const size = () => ({ columns: stream.columns || 80, rows: stream.rows || 24 });
  // One column stays free: a full line would wrap, and its beginning could not be taken back.
  const fitting = (line: string) => [...line].slice(0, size().columns - 1).join('');

  return {
    can,
    size,
    write(lines) {
      if (shown === undefined) stream.write(lines);
      else stream.write(`${eraseLine}${lines}${fitting(shown)}`);
    },
    status(line) {
      if (!change || line === shown) return;
      shown = line;
      stream.write(eraseLine + (line === undefined ? '' : fitting(line)));
    },
  };
}

/** The locale says so, or says nothing; the Linux console and the old Windows one have too few characters. */
function speaksUnicode(environment: Environment, platform: NodeJS.Platform): boolean {
  if (platform === 'win32') return Boolean(environment.WT_SESSION || environment.TERM_PROGRAM);
  const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG;
  return environment.TERM !== 'linux' && (!locale || /utf-?8/i.test(locale));
}
