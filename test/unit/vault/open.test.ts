import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLog } from '../../../src/lib/log.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { openIndex } from '../../../src/vault/index-file.ts';
import { openLocks } from '../../../src/vault/locks.ts';
import { openVault, type VaultOptions } from '../../../src/vault/open.ts';
import { threat } from '../../support/threats.ts';
import { type FakeBackend, fakeBackend } from './support/fakes.ts';

let configDir: string;
let keytar: FakeBackend;
let lines: string;
beforeEach(() => {
  configDir = mkdtempSync(join(tmpdir(), 'open-'));
  keytar = fakeBackend('keytar');
  lines = '';
});
afterEach(() => rmSync(configDir, { recursive: true, force: true }));

const log = createLog({ level: 'info', write: (line) => (lines += line) });
const index = () => openIndex(configDir, openLocks(configDir), log);
const open = (store?: VaultOptions['store'], more: Partial<VaultOptions> = {}) =>
  openVault({
    store,
    configDir,
    passphrase: undefined,
    log,
    waitMs: 5_000,
    index: index(),
    environment: {},
    backends: [keytar],
    ...more,
  });
const revealed = async (store: VaultOptions['store'], key: string) =>
  (await (await open(store)).load(key))?.reveal();

test('the keychain, where there is one', async () => {
  const vault = await open();
  expect(vault.kind).toBe('keychain');
  await vault.save('a', new Secret('x'));
  expect(await revealed(undefined, 'a')).toBe('x');
  expect(lines).toBe('');
});

test('once something is in it, opening does not touch it', async () => {
  await (await open()).save('a', new Secret('x'));
  keytar.calls.length = 0;
  await open();
  expect(keytar.calls).toEqual([]);
});

test('asked for by name, it is not touched either, and never replaced', async () => {
  keytar.mood = 'no service';
  const vault = await open('keychain');
  expect(vault.kind).toBe('keychain');
  expect(keytar.calls).toEqual([]);
  await expect(vault.save('a', new Secret('x'))).rejects.toMatchObject({ code: 'keychain_unavailable' });
  expect(readdirSync(configDir)).toEqual([]);
});

test('encrypted files where there is no keychain, said once', async () => {
  keytar.mood = 'no service';
  const vault = await open();
  expect(vault.kind).toBe('file');
  await vault.save('a', new Secret('x'));
  expect((await vault.load('a'))?.reveal()).toBe('x');
  expect(lines.match(/no keychain here/g)).toHaveLength(1);
  expect(await index().place('a')).toEqual({ store: 'file' });
});

test.each(['locked', 'silent'] as const)(
  threat('S6', 'a keychain that is %s is not replaced by files'),
  async (mood) => {
    keytar.mood = mood;
    const vault = await open(undefined, { waitMs: 100 });
    expect(vault.kind).toBe('keychain');
    await expect(vault.save('a', new Secret('x'))).rejects.toMatchObject({ code: 'keychain_locked' });
    expect(lines).toBe('');
  },
);

test(
  threat('S6', 'a keychain that is gone while our index knows of an entry in it is not replaced'),
  async () => {
    await (await open()).save('a', new Secret('x'));
    keytar.mood = 'no service';
    const vault = await open();
    expect(vault.kind).toBe('keychain');
    await expect(vault.load('a')).rejects.toMatchObject({ code: 'keychain_unavailable' });
  },
);

test('what went to files before there was a keychain is found, and moves with the next save', async () => {
  keytar.mood = 'no service';
  await (await open()).save('a', new Secret('x'));
  keytar.mood = 'fine';
  const vault = await open();
  expect(vault.kind).toBe('keychain');
  expect((await vault.load('a'))?.reveal()).toBe('x');
  await vault.save('a', new Secret('y'));
  expect(readdirSync(join(configDir, 'vault'))).toEqual(['key']);
  expect(await index().place('a')).toMatchObject({ store: 'keychain' });
  expect(await revealed(undefined, 'a')).toBe('y');
});

test('--store file leaves the keychain alone until it has to clear up there', async () => {
  await (await open('file')).save('b', new Secret('x'));
  expect(keytar.calls).toEqual([]);
  await (await open('keychain')).save('a', new Secret('x'));
  expect(await revealed('file', 'a')).toBeUndefined();
  await (await open('file')).save('a', new Secret('y'));
  expect(keytar.entries.size).toBe(0);
  expect(await revealed('file', 'a')).toBe('y');
});

test('removing reaches an entry wherever an earlier choice put it', async () => {
  await (await open('file')).save('a', new Secret('x'));
  await (await open('keychain')).remove('a');
  expect(await index().place('a')).toBeUndefined();
  expect(await revealed('file', 'a')).toBeUndefined();
});

test('memory leaves no trace', async () => {
  const vault = await open('memory');
  await vault.save('a', new Secret('x'));
  expect((await vault.load('a'))?.reveal()).toBe('x');
  expect([keytar.calls, readdirSync(configDir)]).toEqual([[], []]);
});

test('Windows keeps to 2,560 bytes an entry', async () => {
  const vault = await open('keychain', { platform: 'win32' });
  await vault.save('a', new Secret('x'.repeat(6_000)));
  for (const text of keytar.entries.values()) expect(text.length * 2).toBeLessThanOrEqual(2_560);
  expect(vault.description).toContain('Windows');
});

test('the session bus that a client left out is found before a binding looks for it', async () => {
  const set: Record<string, string> = {};
  await open('keychain', {
    platform: 'linux',
    environment: { XDG_RUNTIME_DIR: configDir },
    setEnvironment: (name, value) => {
      set[name] = value;
    },
  });
  expect(set.DBUS_SESSION_BUS_ADDRESS).toBeUndefined();
  writeFileSync(join(configDir, 'bus'), '');
  await open('keychain', {
    platform: 'linux',
    environment: { XDG_RUNTIME_DIR: configDir },
    setEnvironment: (name, value) => {
      set[name] = value;
    },
  });
  expect(set.DBUS_SESSION_BUS_ADDRESS).toBe(`unix:path=${join(configDir, 'bus')}`);
});
