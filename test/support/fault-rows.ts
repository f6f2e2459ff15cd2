import { describe, test } from 'vitest';

/** The fault matrix: each row once, in its order. */
export const rows = [
  'server dead at start',
  'dies with a call in flight',
  'restarts while idle',
  '404 session',
  'TCP black hole',
  'half-open',
  'headers never come, slow body',
  'SSE event cut in the middle',
  'SSE closed right after endpoint',
  '429 / 503 with Retry-After',
  '429 / 503 without, other 5xx',
  '401 in mid session',
  '403 step-up',
  'provider down at refresh',
  'refresh token revoked',
  'provider answers 200 with rubbish',
  'clock wrong',
  'keychain locked, slow, absent',
  'keychain write fails after a refresh',
  'disk full, read-only HOME',
  'browser missing or crashes',
  'callback port taken',
  'client closes stdin',
  'stdout closed (EPIPE)',
  'client does not read stdout',
  'SIGTERM, SIGINT, SIGHUP in flight',
  'SIGKILL with the lock held',
  'laptop sleep',
  'DNS failure, no network',
  'proxy variables',
  'TLS',
  'invalid JSON from the client',
  'invalid JSON from the server',
  '50 MB messages both ways',
  'ids',
  'answer twice, unknown id, late after cancel',
  '10,000 notifications in a burst',
  'two bridges for one server start together',
  // Issue 4, beside the matrix.
  'a call that is merely slow',
  'refused and garbled connections',
  'duplicated and reordered answers',
  'storms bounded',
  'subscriptions and logging level after a reconnection',
  'remote does not read',
] as const;
export type Row = (typeof rows)[number];

interface Finding {
  readonly row: Row;
  readonly saw: string;
}
const findings: Finding[] = [];

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
    findings.push({ row: name, saw });
    console.log(`${name} | ${saw}`);
  });
}

/** Both transports, for a row that both have. */
export const overBoth = (body: (transport: 'sse' | 'mcp') => void) =>
  describe.each(['sse', 'mcp'] as const)('%s', (transport) => body(transport));

/** Prints the table with its count. */
export function printMatrix(): void {
  const held = new Set(findings.map((finding) => finding.row));
  const width = Math.max(...rows.map((name) => name.length));
  const lines = rows.flatMap((name) => {
    const found = findings.filter((finding) => finding.row === name);
    const texts = found.length > 0 ? found.map(({ saw }) => saw) : ['NOT SHOWN in this run'];
    return texts.map((text, index) => `${(index === 0 ? name : '').padEnd(width)} | ${text}`);
  });
  console.log(
    `The fault matrix\n${lines.join('\n')}\n${held.size} of ${rows.length} rows hold, ${findings.length} tests`,
  );
}
