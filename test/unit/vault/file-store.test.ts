import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { createFileStore } from '../../../src/vault/file-store.ts';
import { createMemoryStore } from '../../../src/vault/memory-store.ts';
import { threat } from '../../support/threats.ts';

let configDir: string;
beforeEach(() => {
  configDir = mkdtempSync(join(tmpdir(), 'files-'));
});
afterEach(() => rmSync(configDir, { recursive: true, force: true }));

const folder = () => join(configDir, 'vault');
const sealed = () => readdirSync(folder()).filter((name) => name.endsWith('.sealed'));
const open = (passphrase?: string) =>
  createFileStore(configDir, passphrase ? new Secret(passphrase) : undefined);
const revealed = async (store: ReturnType<typeof open>, key: string) => (await store.load(key))?.reveal();
const failure = { code: 'vault_failed', hint: expect.any(String) };

test.each([['a passphrase'], [undefined]])(
  'entries sealed under %s live on in the next process',
  async (passphrase) => {
    const long = 'tökên '.repeat(3_000);
    await open(passphrase).save('a', new Secret('first'));
    await open(passphrase).save('a', new Secret(long));
    await open(passphrase).save('b', new Secret(''));
    expect(await revealed(open(passphrase), 'a')).toBe(long);
    expect(await revealed(open(passphrase), 'b')).toBe('');
    expect(await open(passphrase).load('c')).toBeUndefined();
    await open(passphrase).remove('a');
    await open(passphrase).remove('a');
    expect(await open(passphrase).load('a')).toBeUndefined();
  },
);

test(threat('S1', 'nothing readable is on the disk, and nobody else may look'), async () => {
  await open().save('a', new Secret('minted-token-77'));
  for (const name of readdirSync(folder())) {
    expect(readFileSync(join(folder(), name)).includes('minted-token-77')).toBe(false);
    expect(statSync(join(folder(), name)).mode & 0o777).toBe(0o600);
  }
  expect(statSync(folder()).mode & 0o777).toBe(0o700);
});

test('the same value is never sealed to the same text twice', async () => {
  const read = () => readFileSync(join(folder(), sealed()[0] ?? ''), 'utf8');
  const store = open();
  await store.save('a', new Secret('x'));
  const before = read();
  await store.save('a', new Secret('x'));
  expect(read()).not.toBe(before);
});

test('a wrong passphrase is called that', async () => {
  await open('right').save('a', new Secret('x'));
  await expect(open('wrong').load('a')).rejects.toMatchObject({
    ...failure,
    message: expect.stringContaining('the passphrase does not open'),
  });
  await expect(open().load('a')).rejects.toMatchObject({
    hint: expect.stringContaining('MCP_WHOAMI_PASSPHRASE'),
  });
});

test('a passphrase set later opens what the key file sealed, and seals what comes', async () => {
  await open().save('a', new Secret('x'));
  expect(await revealed(open('later'), 'a')).toBe('x');
  await open('later').save('a', new Secret('y'));
  await expect(open().load('a')).rejects.toMatchObject(failure);
  expect(await revealed(open('later'), 'a')).toBe('y');
});

test('no changed byte of the sealed value goes unnoticed', async () => {
  const store = open();
  await store.save('a', new Secret('the value'));
  const path = join(folder(), sealed()[0] ?? '');
  const file = JSON.parse(readFileSync(path, 'utf8'));
  for (const member of ['data', 'nonce']) {
    const bytes = Buffer.from(file[member], 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(path, JSON.stringify({ ...file, [member]: changed.toString('base64url') }));
      await expect(store.load('a')).rejects.toMatchObject(failure);
    }
    writeFileSync(path, JSON.stringify({ ...file, [member]: bytes.subarray(0, -1).toString('base64url') }));
    await expect(store.load('a')).rejects.toMatchObject(failure);
  }
});

test('whatever happens to the file, it opens to the true value or not at all', async () => {
  const store = open();
  await store.save('a', new Secret('the value'));
  const path = join(folder(), sealed()[0] ?? '');
  const good = readFileSync(path);
  const change = fc.record({
    at: fc.nat(good.length),
    bytes: fc.uint8Array({ maxLength: 4 }),
    cut: fc.nat(4),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, bytes, cut }) => {
      writeFileSync(path, Buffer.concat([good.subarray(0, at), bytes, good.subarray(at + cut)]));
      const outcome = await store.load('a').then(
        (value) => value?.reveal(),
        (error) => error.code,
      );
      expect(['vault_failed', 'the value']).toContain(outcome);
    }),
    { numRuns: 150 },
  );
});

test.each([
  '',
  '{}',
  '{"version":1}',
  '{"version":2,"under":"key file"}',
  'null',
  '{"version":1,"under":"key file","nonce":"","data":""}',
])('a damaged file is called that: %s', async (text) => {
  const store = open();
  await store.save('a', new Secret('x'));
  writeFileSync(join(folder(), sealed()[0] ?? ''), text);
  await expect(store.load('a')).rejects.toMatchObject({
    ...failure,
    message: expect.stringContaining('damaged'),
  });
});

test("an entry put in another one's place is refused", async () => {
  const store = open();
  await store.save('a', new Secret('of a'));
  const [ofA = ''] = sealed();
  await store.save('b', new Secret('of b'));
  const ofB = sealed().find((name) => name !== ofA) ?? '';
  copyFileSync(join(folder(), ofA), join(folder(), ofB));
  await expect(store.load('b')).rejects.toMatchObject(failure);
});

test('processes that make the key at the same moment agree on one', async () => {
  await Promise.all(Array.from({ length: 10 }, (_, i) => open().save(`k${i}`, new Secret(`v${i}`))));
  for (let i = 0; i < 10; i++) expect(await revealed(open(), `k${i}`)).toBe(`v${i}`);
  expect(readdirSync(folder()).filter((name) => name.startsWith('key'))).toEqual(['key']);
});

test('a key that others can read, a damaged key and a lost key are named', async () => {
  await open().save('a', new Secret('x'));
  const key = join(folder(), 'key');
  chmodSync(key, 0o644);
  await expect(open().load('a')).rejects.toMatchObject({ ...failure, hint: `chmod 600 ${key}` });
  chmodSync(key, 0o600);
  writeFileSync(key, 'short');
  await expect(open().load('a')).rejects.toMatchObject({ ...failure, message: expect.stringContaining(key) });
  rmSync(key);
  await expect(open().load('a')).rejects.toMatchObject({ ...failure, message: expect.stringContaining(key) });
});

test('a place that cannot be written to is named', async () => {
  writeFileSync(folder(), '');
  await expect(open().save('a', new Secret('x'))).rejects.toMatchObject({
    ...failure,
    message: expect.stringContaining(folder()),
  });
});

test('memory keeps until the process ends', async () => {
  const store = createMemoryStore();
  await store.save('a', new Secret('x'));
  expect((await store.load('a'))?.reveal()).toBe('x');
  await store.remove('a');
  expect(await store.load('a')).toBeUndefined();
});
