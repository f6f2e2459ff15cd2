import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLog, silentLog } from '../../../src/lib/log.ts';
import { type IndexEntry, openIndex } from '../../../src/vault/index-file.ts';
import { openLocks } from '../../../src/vault/locks.ts';

let configDir: string;
beforeEach(() => {
  configDir = mkdtempSync(join(tmpdir(), 'index-'));
});
afterEach(() => rmSync(configDir, { recursive: true, force: true }));

const open = (log = silentLog) => openIndex(configDir, openLocks(configDir), log);
const path = () => join(configDir, 'index.json');
const entry = (key: string, more: Partial<IndexEntry> = {}): IndexEntry => ({
  key,
  server: 'https://mcp.example.com/sse',
  profile: 'default',
  issuer: 'https://auth.example.com',
  clientId: 'c1',
  scopes: ['openid', 'profile'],
  renewable: true,
  store: 'file',
  savedAt: 1_700_000_000_000,
  ...more,
});

test('nothing there is nothing known', async () => {
  const index = open();
  expect(await index.list()).toEqual([]);
  expect(await index.get('k')).toBeUndefined();
  expect(await index.place('k')).toBeUndefined();
  await index.remove('k');
});

test('what one process puts another one finds', async () => {
  const full = entry('k', { subject: 'alice', name: 'Alice', expiresAt: 5, dead: true });
  await open().put(full);
  await open().put(entry('l'));
  expect(await open().get('k')).toEqual(full);
  expect((await open().list()).map(({ key }) => key)).toEqual(['k', 'l']);
  await open().put(entry('k', { renewable: false }));
  expect((await open().get('k'))?.renewable).toBe(false);
  await open().remove('k');
  expect(await open().list()).toEqual([entry('l')]);
  expect(statSync(path()).mode & 0o777).toBe(0o600);
});

test('where an entry is kept is told by the vault, not by who put the sign-in', async () => {
  const index = open();
  await index.put(entry('k', { store: 'file' }));
  await index.setPlace('k', { store: 'keychain', binding: 'napi' });
  expect(await index.get('k')).toMatchObject({ store: 'keychain', binding: 'napi' });
  await index.setPlace('k', undefined);
  expect(await index.get('k')).toMatchObject({ store: 'file' });
  expect(await index.places()).toEqual(new Map());
});

test('changes at the same moment are all kept', async () => {
  const indexes = Array.from({ length: 12 }, () => open());
  await Promise.all(
    indexes.map((index, i) =>
      i % 2 ? index.put(entry(`k${i}`)) : index.setPlace(`k${i}`, { store: 'file' }),
    ),
  );
  expect(await open().list()).toHaveLength(6);
  expect((await open().places()).size).toBe(6);
});

test.each(['', 'garbage', '[]', '{"signIns":', `${'['.repeat(100_000)}`])(
  'a file that is no index is kept aside, said aloud once and started anew: %.20s',
  async (text) => {
    writeFileSync(path(), text);
    let lines = '';
    const index = open(createLog({ level: 'warn', write: (line) => (lines += line) }));
    expect(await index.list()).toEqual([]);
    await index.put(entry('k'));
    expect(await index.list()).toEqual([entry('k')]);
    expect(lines.match(/damaged/g)).toHaveLength(1);
    expect(readFileSync(`${path()}.damaged`, 'utf8')).toBe(text);
  },
);

test('an entry that lacks what every entry has is left out, the others stay', async () => {
  await open().put(entry('good'));
  const file = JSON.parse(readFileSync(path(), 'utf8'));
  file.signIns.bad = { server: 5 };
  file.signIns.worse = null;
  file.stored = { a: { store: 'elsewhere' }, b: { store: 'file', binding: 'x' }, c: 7 };
  writeFileSync(path(), JSON.stringify(file));
  expect(await open().list()).toEqual([entry('good')]);
  expect(await open().places()).toEqual(new Map([['b', { store: 'file' }]]));
});

test('no temporary file stays behind', async () => {
  for (let i = 0; i < 5; i++) await open().put(entry(`k${i}`));
  expect(readdirSync(configDir)).toEqual(['index.json']);
});

test('a folder that cannot be written to is named', async () => {
  const inFile = join(configDir, 'file');
  writeFileSync(inFile, '');
  const index = openIndex(inFile, openLocks(configDir), silentLog);
  await expect(index.put(entry('k'))).rejects.toMatchObject({
    code: 'vault_failed',
    message: expect.stringContaining(inFile),
    hint: expect.stringContaining('MCP_WHOAMI_CONFIG_DIR'),
  });
});
