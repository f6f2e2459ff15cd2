import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const root = join(import.meta.dirname ?? '', '../../..');
let folder: string | undefined;
afterEach(() => folder && rmSync(folder, { recursive: true, force: true }));

/** Lints a small tree with the project's own rules. */
function lint(files: Record<string, string>): string {
  folder = mkdtempSync(join(tmpdir(), 'floors-'));
  cpSync(join(root, 'biome.json'), join(folder, 'biome.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const result = spawnSync(
    process.execPath,
    [biome, 'lint', '--vcs-enabled=false', '--max-diagnostics=200', '.'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  return `${result.status}\n${result.stdout}${result.stderr}`;
}

const exporting = 'export const x: number = 1;\n';
const importing = (from: string) => `import { x } from '${from}';\n\nexport const y = x + 1;\n`;

test.each([
  ['lib', 'vault'],
  ['vault', 'auth'],
  ['auth', 'bridge'],
  ['auth', 'server'],
  ['bridge', 'auth'],
  ['bridge', 'vault'],
  ['server', 'idp'],
  ['idp', 'server'],
  ['server', 'cli'],
])('%s may not import %s', (from, to) => {
  const output = lint({ [`src/${from}/a.ts`]: importing(`../${to}/b.ts`), [`src/${to}/b.ts`]: exporting });
  expect(output).toContain('noRestrictedImports');
});

test.each([
  ['cli', 'bridge'],
  ['auth', 'vault'],
  ['vault', 'lib'],
  ['bridge', 'lib'],
])('%s may import %s', (from, to) => {
  const output = lint({ [`src/${from}/a.ts`]: importing(`../${to}/b.ts`), [`src/${to}/b.ts`]: exporting });
  expect(output).toMatch(/^0\n/);
});

test('an import cycle is an error', () => {
  const output = lint({
    'src/lib/a.ts': `import { b } from './b.ts';\n\nexport const a = (): number => b();\n`,
    'src/lib/b.ts': `import { a } from './a.ts';\n\nexport const b = (): number => a();\n`,
  });
  expect(output).toContain('noImportCycles');
});

test('the bridge may not load the SDK, and the environment is read at the edge only', () => {
  const output = lint({
    'src/bridge/a.ts': `import { Client } from '@modelcontextprotocol/sdk/client/index.js';\n\nexport const a = new Client({ name: String(process.env.HOME), version: '1' });\n`,
  });
  expect(output).toContain('noRestrictedImports');
  expect(output).toContain('noProcessEnv');
});
