import { describe, test } from 'vitest';
import { note, type Row } from './fault-table.ts';

/** What one test of a row reports: what the client saw, and when. */
export type Saw = (what: string, ms?: number) => void;

export interface RowOptions {
  /** It mostly waits: run beside others. */
  readonly slow?: boolean;
  readonly skip?: boolean;
}

/** A test of one row of the fault matrix, named after it; its line is printed when it has passed. */
export function row(
  name: Row,
  how: string,
  body: (saw: Saw) => Promise<void>,
  options: RowOptions = {},
): void {
  const run = options.skip ? test.skip : options.slow ? test.concurrent : test;
  run(`${name}: ${how}`, async () => {
    const seen: string[] = [];
    await body((what, ms) => {
      seen.push(
        ms === undefined
          ? what
          : `${what} after ${ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`}`,
      );
    });
    const saw = `${how}: ${seen.join('; ')}`;
    note({ row: name, saw });
    console.log(`${name} | ${saw}`);
  });
}

/** Both transports, for a row that both have. */
export const overBoth = (body: (transport: 'sse' | 'mcp') => void) =>
  describe.each(['sse', 'mcp'] as const)('%s', (transport) => body(transport));
