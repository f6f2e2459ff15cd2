import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exitCodeOf } from '../../../src/cli/render-error.ts';
import { errorCodes } from '../../../src/lib/errors.ts';
import { root } from '../../support/command.ts';

test('docs/reference.md lists every error code with its exit code, and no other', () => {
  const page = readFileSync(join(root, 'docs/reference.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z_]+)` \| [^|]+ \| (\d+) \|$/gm)];
  expect(rows.map(([, code, exit]) => [code, Number(exit)])).toEqual(
    errorCodes.map((code) => [code, exitCodeOf(code)]),
  );
});
