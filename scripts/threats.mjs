// The threat table at the end of `npm test`: which tests stood for which row, by their names in vitest's reports.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const named = /^((?:[CLSRE]\d+)(?:, [CLSRE]\d+)*): (.*)$/s;

/**
 * In: the root of the repository, vitest's JSON reports. Out: the lines of the table, its count the last one, and
 * how many rows have no test that passed.
 */
export function threatTable(root, reports) {
  const threats = JSON.parse(readFileSync(`${root}/test/support/threats.json`, 'utf8'));
  const found = new Map(Object.keys(threats).map((row) => [row, new Map()]));
  for (const { name, assertionResults } of reports.flatMap(({ testResults = [] }) => testResults)) {
    const file = relative(root, name);
    for (const { title, status } of assertionResults) {
      const [, rows, what] = named.exec(title) ?? [];
      if (status !== 'passed' || !rows) continue;
      for (const row of rows.split(', ')) {
        const tests = found.get(row);
        tests?.set(file, [...(tests.get(file) ?? []), what]);
      }
    }
  }
  const lines = [];
  let tests = 0;
  let bare = 0;
  for (const [row, byFile] of found) {
    if (byFile.size === 0) bare++;
    lines.push(`${row.padEnd(3)} | ${threats[row].threat}${byFile.size === 0 ? ' | NO TEST PASSED' : ''}`);
    for (const [file, names] of byFile) {
      tests += names.length;
      for (const name of names) lines.push(`    | ${file}: ${name}`);
    }
  }
  const rows = found.size;
  lines.push(`${rows} rows, ${tests} tests; ${bare === 0 ? 'zero' : bare} rows without a test`);
  return { lines, bare };
}
