import { beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createKeychainStore } from '../../../src/vault/keychain/keychain-store.ts';
import { threat } from '../../support/threats.ts';
import { type FakeBackend, fakeBackend, type Mood, memoryPlaces } from './support/fakes.ts';

let keytar: FakeBackend;
let napi: FakeBackend;
let places: ReturnType<typeof memoryPlaces>;
beforeEach(() => {
  keytar = fakeBackend('keytar');
  napi = fakeBackend('napi');
  places = memoryPlaces();
});

const open = ({ waitMs = 5_000 } = {}) =>
  createKeychainStore({
    backends: [keytar, napi],
    places,
    waitMs,
    maxEntryBytes: Number.POSITIVE_INFINITY,
    description: 'test',
    log: silentLog,
  });
const revealed = async (key: string) => (await open().load(key))?.reveal();
const failing = (code: string) => expect.objectContaining({ code, hint: expect.any(String) });
const probes = (backend: FakeBackend) => backend.calls.filter((call) => call.startsWith('set probe-')).length;

test('the first binding that passes the probe keeps the entry; one probe a process', async () => {
  const store = open();
  await store.save('a', new Secret('x'));
  await store.save('b', new Secret('y'));
  expect([probes(keytar), probes(napi)]).toEqual([1, 0]);
  expect(places.all.get('a')).toEqual({ store: 'keychain', binding: 'keytar' });
  expect([...keytar.entries.keys()]).toEqual(['a', 'b']);
  expect(await revealed('b')).toBe('y');
});

test.each<Mood>(['not installed', 'forgetful', 'no service'])(
  'where keytar is %s the other binding serves',
  async (mood) => {
    keytar.mood = mood;
    const store = open();
    await store.save('a', new Secret('x'));
    expect(places.all.get('a')).toEqual({ store: 'keychain', binding: 'napi' });
    expect(await revealed('a')).toBe('x');
    expect(napi.entries.has('a')).toBe(true);
  },
);

test('reading goes straight to the binding that the index names, without a probe', async () => {
  napi.entries.set('a', 'w1:x');
  places.all.set('a', { store: 'keychain', binding: 'napi' });
  expect(await revealed('a')).toBe('x');
  expect([keytar.calls, napi.calls]).toEqual([[], ['get a']]);
});

test('an update stays with the binding that wrote the entry, without a probe', async () => {
  places.all.set('a', { store: 'keychain', binding: 'napi' });
  await open().save('a', new Secret('y'));
  expect(napi.calls).toEqual(['set a']);
  expect(keytar.calls).toEqual([]);
});

test('an index that was lost does not hide what either binding holds', async () => {
  napi.entries.set('a', 'w1:x');
  expect(await revealed('a')).toBe('x');
  expect(await revealed('none')).toBeUndefined();
});

test('when the binding of an entry is gone, the next save moves it, and the old copy goes when it can', async () => {
  await open().save('a', new Secret('old'));
  keytar.mood = 'not installed';
  await expect(open().load('a')).rejects.toEqual(failing('keychain_locked'));
  await open().save('a', new Secret('new'));
  keytar.mood = 'fine';
  expect(await revealed('a')).toBe('new');
  await open().remove('a');
  expect([keytar.entries.size, napi.entries.size]).toEqual([0, 0]);
  expect(places.all.size).toBe(0);
});

test.each([
  ['keytar', 'says that nothing is there'],
  ['napi', 'rejects'],
] as const)(threat('S6', 'locked: %s %s, and both are the same error'), async (name, _says) => {
  const [used, other] = name === 'keytar' ? [keytar, napi] : [napi, keytar];
  other.mood = 'not installed';
  await open().save('a', new Secret('x'));
  used.mood = 'locked';
  await expect(open().load('a')).rejects.toEqual(failing('keychain_locked'));
  await expect(open().save('a', new Secret('y'))).rejects.toEqual(failing('keychain_locked'));
  await expect(open().save('new', new Secret('y'))).rejects.toEqual(failing('keychain_locked'));
  await expect(open().remove('a')).rejects.toEqual(failing('keychain_locked'));
  expect(await open().load('never stored')).toBeUndefined();
  used.mood = 'fine';
  expect(await revealed('a')).toBe('x');
});

test('an entry that somebody removed by hand can be signed out, and signed in again', async () => {
  await open().save('a', new Secret('x'));
  keytar.entries.clear();
  await expect(open().load('a')).rejects.toMatchObject({
    message: 'the keychain is locked, or the entry was removed',
    hint: expect.stringContaining('mcp-whoami login'),
  });
  await open().save('a', new Secret('y'));
  expect(await revealed('a')).toBe('y');
  keytar.entries.clear();
  await open().remove('a');
  expect(await open().load('a')).toBeUndefined();
});

test('an entry that another process is just removing is no error', async () => {
  await open().save('a', new Secret('x'));
  keytar.entries.clear();
  const loading = open().load('a');
  setTimeout(() => void places.setPlace('a', undefined), 20);
  expect(await loading).toBeUndefined();
});

test('no keychain at all', async () => {
  keytar.mood = 'not installed';
  napi.mood = 'no service';
  for (const work of [open().load('a'), open().save('a', new Secret('x')), open().check()]) {
    await expect(work).rejects.toMatchObject({
      code: 'keychain_unavailable',
      message: expect.stringContaining('DBus'),
      hint: expect.stringContaining('--store file'),
    });
  }
  await open().remove('never stored');
  places.all.set('a', { store: 'keychain', binding: 'napi' });
  await expect(open().remove('a')).rejects.toEqual(failing('keychain_unavailable'));
  expect(places.all.has('a')).toBe(true);
});

test('a keychain that is silent costs no more than the limit, takes no late step and is let go', async () => {
  const store = open({ waitMs: 60 });
  places.all.set('a', { store: 'keychain', binding: 'keytar' });
  keytar.entries.set('a', 'w1:x');
  keytar.mood = 'silent';
  const both = await Promise.allSettled([store.load('a'), store.save('a', new Secret('y'))]);
  for (const outcome of both) {
    expect(outcome).toMatchObject({
      status: 'rejected',
      reason: { code: 'keychain_locked', message: expect.stringContaining('within 0.06 s') },
    });
  }
  expect(keytar.calls).toEqual(['get a']);
  expect([keytar.abandoned, napi.calls]).toEqual([1, []]);
});

test('a save whose time is over does not write when the keychain answers at last', async () => {
  let answer: (removed: null) => void = () => {};
  const slow = { ...keytar, get: () => new Promise<null>((resolve) => (answer = resolve)) };
  const store = createKeychainStore({
    backends: [slow],
    places,
    waitMs: 40,
    maxEntryBytes: 100,
    description: 'test',
    log: silentLog,
  });
  places.all.set('a', { store: 'keychain', binding: 'keytar' });
  await expect(store.save('a', new Secret('late'))).rejects.toEqual(failing('keychain_locked'));
  answer(null);
  await new Promise((resolve) => setImmediate(resolve));
  expect(keytar.entries.size).toBe(0);
});
