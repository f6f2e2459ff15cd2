import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createKeychainStore } from '../../../src/vault/keychain/keychain-store.ts';
import { type FakeBackend, fakeBackend, memoryPlaces } from './support/fakes.ts';

let keytar: FakeBackend;
let napi: FakeBackend;
let places: ReturnType<typeof memoryPlaces>;
beforeEach(startAnew);

function startAnew(): void {
  [keytar, napi, places] = [fakeBackend('keytar'), fakeBackend('napi'), memoryPlaces()];
  napi.mood = 'not installed';
}

const open = () =>
  createKeychainStore({
    backends: [keytar, napi],
    places,
    waitMs: 5_000,
    maxEntryBytes: 200,
    description: 'test',
    log: silentLog,
  });
const revealed = async (key: string) => (await open().load(key))?.reveal();

const value = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'binary', minLength: 100, maxLength: 600 }),
);

test('a value of any length and script survives the limit of an entry', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 5 }), async (values) => {
      const store = open();
      for (const text of values) {
        await store.save('k', new Secret(text));
        expect(await revealed('k')).toBe(text);
      }
      for (const text of keytar.entries.values()) {
        expect(Math.max(Buffer.byteLength(text), text.length * 2)).toBeLessThanOrEqual(200);
      }
      await store.remove('k');
      expect([keytar.entries.size, places.all.size]).toEqual([0, 0]);
    }),
    { numRuns: 40 },
  );
});

test('a crash at any step of a save leaves the old or the new value whole, and the next one clears up', async () => {
  await fc.assert(
    fc.asyncProperty(value, value, fc.nat(40), async (old, next, steps) => {
      startAnew();
      await open().save('k', new Secret(old));
      keytar.dieBefore = keytar.calls.length + steps;
      const saved = await open()
        .save('k', new Secret(next))
        .then(
          () => true,
          () => false,
        );
      keytar.dieBefore = Number.POSITIVE_INFINITY;
      expect(saved ? [next] : [old, next]).toContain(await revealed('k'));
      await open().save('k', new Secret('short'));
      expect([...keytar.entries.keys()]).toEqual(['k']);
      expect(places.all.get('k')).toEqual({ store: 'keychain', binding: 'keytar' });
    }),
    { numRuns: 100 },
  );
});

test('a crash at any step of a removal leaves the value or nothing, and the next removal leaves nothing', async () => {
  await fc.assert(
    fc.asyncProperty(value, fc.nat(25), async (old, steps) => {
      startAnew();
      await open().save('k', new Secret(old));
      keytar.dieBefore = keytar.calls.length + steps;
      await open()
        .remove('k')
        .catch(() => {});
      keytar.dieBefore = Number.POSITIVE_INFINITY;
      if (keytar.entries.has('k')) expect(await revealed('k')).toBe(old);
      await open().remove('k');
      expect([...keytar.entries.keys()].filter((name) => !name.startsWith('probe-'))).toEqual([]);
      expect(places.all.size).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test('a reader beside a writer sees one value or the other, never a mixture', async () => {
  const [one, two] = ['1'.repeat(500), '2'.repeat(700)];
  const writer = open();
  await writer.save('k', new Secret(one));
  const reader = open();
  for (let round = 0; round < 20; round++) {
    const [found] = await Promise.all([
      reader.load('k'),
      writer.save('k', new Secret(round % 2 ? one : two)),
    ]);
    expect([one, two]).toContain(found?.reveal());
  }
});

test('parts that are missing for good are called damage', async () => {
  await open().save('k', new Secret('x'.repeat(600)));
  for (const name of keytar.entries.keys()) if (name.endsWith('.1')) keytar.entries.delete(name);
  await expect(open().load('k')).rejects.toMatchObject({ code: 'vault_failed', hint: expect.any(String) });
  await open().save('k', new Secret('y'));
  expect(await revealed('k')).toBe('y');
  expect([...keytar.entries.keys()]).toEqual(['k']);
});
