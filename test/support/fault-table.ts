import { appendFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

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
  // Beside the matrix.
  'a call that is merely slow',
  'refused and garbled connections',
  'duplicated and reordered answers',
  'storms bounded',
  'subscriptions and logging level after a reconnection',
  'remote does not read',
] as const;
export type Row = (typeof rows)[number];

export interface Finding {
  readonly row: Row;
  readonly saw: string;
}

/** The test files run in several processes: what they found meets here. */
const path = join(import.meta.dirname, '../../.tmp/fault-matrix.jsonl');

export function note(finding: Finding): void {
  mkdirSync(dirname(path), { recursive: true });
  appendFileSync(path, `${JSON.stringify(finding)}\n`);
}

/** Before all test files (vitest's globalSetup). */
export function setup(): void {
  rmSync(path, { force: true });
}

/** After all test files: the table with its count, if any row was run. */
export function teardown(): void {
  const findings = readFindings();
  if (findings.length === 0) return;
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

function readFindings(): Finding[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Finding);
  } catch {
    return [];
  }
}
