import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './command.ts';
import { type ThreatId, threats } from './threats.ts';

/** One test that stands for a row, as its source names it. */
export interface NamedTest {
  readonly row: ThreatId;
  /** From the root of the repository. */
  readonly file: string;
  readonly name: string;
}

const call = /\bthreat\(\s*(\[[^\]]*\]|'\w+')\s*,\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g;

/** The tests of the threat table, found in the sources of the tests. */
export function namedTests(): NamedTest[] {
  const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.test.ts'))
    .sort()
    .flatMap((file) => testsIn(`test/${file}`));
}

function testsIn(file: string): NamedTest[] {
  return [...readFileSync(join(root, file), 'utf8').matchAll(call)].flatMap(([, ids = '', ...names]) => {
    const name = (names.find((one) => one !== undefined) ?? '').replace(/\\(.)/g, '$1');
    return [...ids.matchAll(/\w+/g)].map(([row]) => ({ row: row as ThreatId, file, name }));
  });
}

const head = `# Threats, guards, tests

Every row has tests that play the attack and that fail when its guard is removed. C: a hostile MCP server or
authorization server against our client. L: the loopback redirect. S: secrets at rest, in use, in output. R: our
server. E: the supply chain. What is promised, and what is not, is in [SECURITY.md](../SECURITY.md).

This page is made from \`test/support/threats.json\` and the names of the tests; a test holds it to them. After a
change: \`npx vitest run --project unit test/unit/house/threats.test.ts -u\`.

| row | threat | guard | tests |
| --- | --- | --- | --- |
`;

/** docs/security.md as it has to be. */
export function threatPage(tests: readonly NamedTest[]): string {
  const rows = threats.map(([id, { threat, guards }]) => {
    const own = tests.filter(({ row }) => row === id);
    const files = [...new Set(own.map(({ file }) => file))];
    const listed = files.map((file) => {
      const names = own.filter((test) => test.file === file).map(({ name }) => cell(name));
      return `\`${file}\`: ${names.join('; ')}`;
    });
    const ways = guards.map((guard) => `\`${guard.replace('#', '`, `')}\``);
    return `| ${id} | ${cell(threat)} | ${ways.join('<br>')} | ${listed.join('<br>')} |`;
  });
  return `${head}${rows.join('\n')}\n`;
}

const cell = (text: string) => text.replace(/[|<>]/g, '\\$&');
