import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openConfigFile } from '../../../src/cli/config-file.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'config-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const path = () => join(dir, 'config.json');

test('no file is an empty one; what is remembered comes back for that server and profile only', async () => {
  const file = await openConfigFile(join(dir, 'new'));
  expect(file.defaultServer).toBeUndefined();
  await file.remember('https://a.example/mcp', 'default', { clientId: 'one' });
  await file.remember('https://a.example/mcp', 'work', { clientId: 'two' });
  await file.remember('https://a.example/mcp', 'default', { clientId: 'three' });
  await file.setDefaultServer('https://a.example/mcp');
  const again = await openConfigFile(join(dir, 'new'));
  expect(again.remembered('https://a.example/mcp', 'default')).toMatchObject({ clientId: 'three' });
  expect(again.remembered('https://a.example/mcp', 'work')).toMatchObject({ clientId: 'two' });
  expect(again.remembered('https://b.example/mcp', 'default')).toEqual({});
  expect(again.defaultServer).toBe('https://a.example/mcp');
  expect((await stat(join(dir, 'new/config.json'))).mode & 0o777).toBe(0o600);
});

test("a person's comments and trailing commas survive our edits", async () => {
  await writeFile(path(), '{\n  // my own server\n  "logLevel": "debug", // loud\n}\n');
  const file = await openConfigFile(dir);
  expect(file.global.logLevel).toBe('debug');
  await file.setDefaultServer('https://a.example/mcp');
  const text = await readFile(path(), 'utf8');
  expect(text).toContain('// my own server');
  expect(text).toContain('// loud');
  expect((await openConfigFile(dir)).defaultServer).toBe('https://a.example/mcp');
});

test('a file that is no JSON is a usage error naming the line, and stays as it was', async () => {
  await writeFile(path(), '{\n  "a": 1,\n  oops\n}\n');
  await expect(openConfigFile(dir)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('line 3'),
  });
  expect(await readFile(path(), 'utf8')).toContain('oops');
});
