import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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

/** The processes, probes and keychain workers, that were started from the built folder; or only the workers. */
function leftOver(program = ''): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(join(vault.folder, program));
    } catch {
      return false;
    }
  });
}

async function untilNoneIsLeft(limitMs: number): Promise<void> {
  for (const end = Date.now() + limitMs; Date.now() < end && leftOver().length > 0; await delay(25));
  expect(leftOver()).toEqual([]);
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
          await untilNoneIsLeft(5_000);
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

  test.skipIf(!bindingLoads('keytar'))('keytar is preferred, and the index says so', async () => {
    const found = await steps(keyring.env, {
      steps: [
        ['save', 'a', 'x'],
        ['place', 'a'],
        ['remove', 'a'],
      ],
    });
    expect(JSON.parse(found[1]?.value ?? '')).toEqual({ store: 'keychain', binding: 'keytar' });
  });

  test.skipIf(!bindingLoads('keytar'))(
    'an entry whose binding is gone is not taken for signed out',
    async () => {
      await steps(keyring.env, { only: 'keytar', steps: [['save', 'a', 'x']] });
      const [found] = await steps(keyring.env, { only: 'napi', steps: [['load', 'a']] });
      expect(found?.code).toBe('keychain_locked');
      expect(found?.hint).toContain('mcp-whoami login');
      const again = await steps(keyring.env, {
        only: 'napi',
        steps: [
          ['save', 'a', 'y'],
          ['load', 'a'],
          ['place', 'a'],
          ['remove', 'a'],
        ],
      });
      expect(again[1]).toEqual({ value: 'y' });
      expect(JSON.parse(again[2]?.value ?? '')).toEqual({ store: 'keychain', binding: 'napi' });
      await steps(keyring.env, { only: 'keytar', steps: [['remove', 'a']] });
    },
  );

  test('a client that strips the environment does not hide the keychain', async () => {
    const { DBUS_SESSION_BUS_ADDRESS: _, ...stripped } = keyring.env;
    await steps(keyring.env, { steps: [['save', 's', 'seen']] });
    expect(
      await steps(stripped, {
        steps: [
          ['load', 's'],
          ['remove', 's'],
        ],
      }),
    ).toEqual([{ value: 'seen' }, { done: true }]);
  });

  test('what is in the keychain is on no disk, and no entry of a probe stays', async () => {
    const token = 'minted-token-5f2b';
    await steps(keyring.env, { steps: [['save', 'd', token]] });
    for (const name of readdirSync(configDir))
      expect(readFileSync(join(configDir, name), 'utf8')).not.toContain(token);
    expect(existsSync(join(configDir, 'vault'))).toBe(false);
    if (bindingLoads('keytar')) expect(await accounts()).toEqual(['d']);
    await steps(keyring.env, { steps: [['remove', 'd']] });
  });

  test('a keychain process inherits no secret and does not outlive a killed parent', async () => {
    await steps(keyring.env, { steps: [['save', 'z', 'x']] });
    await untilNoneIsLeft(5_000);
    keyring.freeze();
    try {
      const env = { ...keyring.env, MCP_WHOAMI_TOKEN: 'by-hand', NODE_OPTIONS: '--no-warnings' };
      const parent = vault.start({ store: 'keychain', configDir, steps: [['load', 'z']] }, env);
      const workers = () => leftOver('keychain-worker.js');
      for (const end = Date.now() + 10_000; workers().length < 1 && Date.now() < end; await delay(25));
      const [worker] = workers();
      const inherited = readFileSync(`/proc/${worker}/environ`, 'utf8');
      expect(inherited).toContain('DBUS_SESSION_BUS_ADDRESS=');
      expect(inherited).not.toMatch(/MCP_WHOAMI_|NODE_OPTIONS/);
      parent.kill('SIGKILL');
      await untilNoneIsLeft(5_000);
    } finally {
      keyring.thaw();
    }
  });

  test('a service that is gone is no reason to forget where the tokens are', async () => {
    await steps(keyring.env, { steps: [['save', 'g', 'x']] });
    await keyring.stopService();
    try {
      const { outcomes } = await vault.run({ configDir, steps: [['load', 'g']] }, keyring.env);
      expect(outcomes.map(({ kind, code }) => kind ?? code)).toEqual(['keychain', 'keychain_unavailable']);
    } finally {
      await keyring.unlock();
    }
  });

  /** The accounts of our service, as keytar lists them. */
  async function accounts(): Promise<string[]> {
    const script = `require('keytar').findCredentials('mcp-whoami').then((all) => console.log(JSON.stringify(all.map((one) => one.account))))`;
    const { execFileSync } = await import('node:child_process');
    const env = { PATH: process.env.PATH, ...keyring.env };
    return JSON.parse(
      execFileSync(process.execPath, ['-e', script], { env, encoding: 'utf8', cwd: vault.folder }),
    );
  }
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
