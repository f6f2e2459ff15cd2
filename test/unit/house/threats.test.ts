import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root } from '../../support/command.ts';
import { namedTests, threatPage } from '../../support/threat-table.ts';
import { threats } from '../../support/threats.ts';

const tests = namedTests();

test.each(threats)('%s has a test, and guards that exist', (id, { guards }) => {
  expect(tests.filter(({ row }) => row === id)).not.toEqual([]);
  expect(guards).not.toEqual([]);
  for (const guard of guards) {
    const [file = '', name] = guard.split('#');
    expect(existsSync(join(root, file)), guard).toBe(true);
    if (name) expect(readFileSync(join(root, file), 'utf8')).toMatch(new RegExp(`\\b${name}\\b`));
  }
});

test('docs/security.md is what the registry and the tests say', async () => {
  await expect(threatPage(tests)).toMatchFileSnapshot('../../../docs/security.md');
});
