import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { bin, root } from '../../support/command.ts';

test('a checkout that was not built says what to type, without a stack trace', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'unbuilt-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  const copy = join(folder, 'bin', 'mcp-whoami.js');
  await cp(bin, copy);
  const ended = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(process.execPath, [copy, 'status'], (error, _, stderr) =>
      resolve({ code: error?.code, stderr }),
    );
  });
  expect(ended).toEqual({
    code: 1,
    stderr: 'mcp-whoami: this checkout has not been built\n  → npm ci && npm run build\n',
  });
});
