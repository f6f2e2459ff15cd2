import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bindingLoads, type Keyring, keyringMissing, withKeyring } from '../support/keyring.ts';
import { buildVaultProcess, type Job, type Outcome, type VaultProcess } from '../support/vault-process.ts';

const bindings = [
  ['keytar', 'keytar'],
  ['napi', '@napi-rs/keyring'],
] as const;
const noBus = { HOME: '/nonexistent', XDG_RUNTIME_DIR: '/nonexistent' };

let vault: VaultProcess;
let configDir: string;

beforeAll(async () => {
  vault = await buildVaultProcess();
});
afterAll(() => vault?.remove());
beforeEach(() => {
  configDir = mkdtempSync(join(tmpdir(), 'vault-'));
});
afterEach(() => rmSync(configDir, { recursive: true, force: true }));

/** The outcomes of the steps alone. */
async function steps(
  env: Record<string, string>,
  job: Partial<Job> & Pick<Job, 'steps'>,
): Promise<Outcome[]> {
  return (await vault.run({ store: 'keychain', configDir, ...job }, env)).outcomes.slice(1);
}

describe.skipIf(keyringMissing)('with a Secret Service', () => {
  let keyring: Keyring;
  beforeAll(async () => {
    keyring = await withKeyring();
  });
  afterAll(() => keyring?.stop());

  describe.each(bindings)('through %s', (only, packageName) => {
    const missing = !bindingLoads(packageName);

    test.skipIf(missing)(`an entry lives from one process to the next (${packageName})`, async () => {
      const long = `ünïcode ${'x'.repeat(10_000)} 🔑`;
      await steps(keyring.env, {
        only,
        steps: [
          ['save', 'a', 'first'],
          ['save', 'a', long],
          ['save', 'b', 'other'],
        ],
      });
      expect(
        await steps(keyring.env, {
          only,
          steps: [
            ['load', 'a'],
            ['load', 'b'],
            ['load', 'none'],
          ],
        }),
      ).toEqual([{ value: long }, { value: 'other' }, {}]);
      const removed = await steps(keyring.env, {
        only,
        steps: [
          ['remove', 'a'],
          ['remove', 'b'],
          ['remove', 'none'],
          ['load', 'a'],
          ['place', 'a'],
        ],
      });
      expect(removed).toEqual([{ done: true }, { done: true }, { done: true }, {}, {}]);
    });

    test.skipIf(missing)(`a limit of 2,560 bytes an entry is kept by parts (${packageName})`, async () => {
      const text = 'é'.repeat(4_000);
      const limited = { only, maxEntryBytes: 2_560 };
      await steps(keyring.env, { ...limited, steps: [['save', 'p', text]] });
      const [whole, ...rest] = await steps(keyring.env, {
        ...limited,
        steps: [
          ['load', 'p'],
          ['save', 'p', 'short'],
          ['load', 'p'],
          ['remove', 'p'],
          ['load', 'p'],
        ],
      });
      expect(whole).toEqual({ value: text });
      expect(rest).toEqual([{ done: true }, { value: 'short' }, { done: true }, {}]);
    });

    test.skipIf(missing)(
      `a locked keyring is an error, and nothing is lost by it (${packageName})`,
      async () => {
        await steps(keyring.env, { only, steps: [['save', 'k', 'kept']] });
        await keyring.lock();
        try {
          const { outcomes, stderr } = await vault.run(
            {
              configDir,
              only,
              steps: [
                ['load', 'k'],
                ['save', 'k', 'new'],
                ['save', 'fresh', 'x'],
                ['remove', 'k'],
                ['load', 'none'],
              ],
            },
            keyring.env,
          );
          expect(outcomes.map(({ kind, code, value }) => kind ?? code ?? value)).toEqual([
            'keychain',
            'keychain_locked',
            'keychain_locked',
            'keychain_locked',
            'keychain_locked',
            undefined,
          ]);
          expect(outcomes[1]?.message).toMatch(/keychain is locked/);
          expect(outcomes[1]?.hint).toMatch(/unlock/);
          expect(stderr).not.toContain('encrypted file');
        } finally {
          await keyring.unlock();
        }
        expect(
          await steps(keyring.env, {
            only,
            steps: [
              ['load', 'k'],
              ['remove', 'k'],
            ],
          }),
        ).toEqual([{ value: 'kept' }, { done: true }]);
      },
    );

    test.skipIf(missing)(
      `a service that does not answer costs no more than the limit (${packageName})`,
      async () => {
        await steps(keyring.env, { only, steps: [['save', 'f', 'frozen']] });
        keyring.freeze();
        try {
          const started = Date.now();
          const [slow] = await steps(keyring.env, { only, waitMs: 700, steps: [['load', 'f']] });
          expect(slow?.code).toBe('keychain_locked');
          expect(slow?.message).toContain('within 0.7 s');
          // The native call itself would keep its process for 25 s.
          expect(Date.now() - started).toBeLessThan(10_000);
          expect(await vault.ended(5_000)).toEqual([]);
        } finally {
          keyring.thaw();
        }
        expect(
          await steps(keyring.env, {
            only,
            steps: [
              ['load', 'f'],
              ['remove', 'f'],
            ],
          }),
        ).toEqual([{ value: 'frozen' }, { done: true }]);
      },
    );
  });
});

describe('without D-Bus', () => {
  test('the keychain is unavailable when it was asked for', async () => {
    const found = await steps(noBus, {
      steps: [
        ['load', 'a'],
        ['save', 'a', 'x'],
        ['remove', 'a'],
      ],
    });
    expect(found.map(({ code, done }) => code ?? done)).toEqual([
      'keychain_unavailable',
      'keychain_unavailable',
      true,
    ]);
    expect(found[0]?.hint).toContain('--store file');
  });

  test('encrypted files take its place when nobody asked, and it is said', async () => {
    const job: Job = {
      configDir,
      steps: [
        ['save', 'a', 'a plain token'],
        ['load', 'a'],
        ['remove', 'a'],
      ],
    };
    const { outcomes, stderr } = await vault.run(job, noBus);
    expect(outcomes).toEqual([{ kind: 'file' }, { done: true }, { value: 'a plain token' }, { done: true }]);
    expect(stderr.match(/no keychain here/g)).toHaveLength(1);
  });
});
