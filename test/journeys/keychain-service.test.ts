import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bindingLoads, type Keyring, keyringMissing, withKeyring } from '../support/keyring.ts';
import { threat } from '../support/threats.ts';
import { buildVaultProcess, type Job, type Outcome, type VaultProcess } from '../support/vault-process.ts';

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

  test(threat('S1', 'what is in the keychain is on no disk, and no entry of a probe stays'), async () => {
    const token = 'minted-token-5f2b';
    await steps(keyring.env, { steps: [['save', 'd', token]] });
    for (const name of readdirSync(configDir))
      expect(readFileSync(join(configDir, name), 'utf8')).not.toContain(token);
    expect(existsSync(join(configDir, 'vault'))).toBe(false);
    if (bindingLoads('keytar')) expect(await accounts()).toEqual(['d']);
    await steps(keyring.env, { steps: [['remove', 'd']] });
  });

  test(
    threat('S2', 'a keychain process inherits no secret and does not outlive a killed parent'),
    async () => {
      await steps(keyring.env, { steps: [['save', 'z', 'x']] });
      expect(await vault.ended(5_000)).toEqual([]);
      keyring.freeze();
      try {
        const env = { ...keyring.env, MCP_WHOAMI_TOKEN: 'by-hand', NODE_OPTIONS: '--no-warnings' };
        const parent = vault.start({ store: 'keychain', configDir, steps: [['load', 'z']] }, env);
        const workers = () => vault.running('keychain-worker.js');
        for (const end = Date.now() + 10_000; workers().length < 1 && Date.now() < end; await delay(25));
        const [worker] = workers();
        const inherited = readFileSync(`/proc/${worker}/environ`, 'utf8');
        expect(inherited).toContain('DBUS_SESSION_BUS_ADDRESS=');
        expect(inherited).not.toMatch(/MCP_WHOAMI_|NODE_OPTIONS/);
        parent.kill('SIGKILL');
        expect(await vault.ended(5_000)).toEqual([]);
      } finally {
        keyring.thaw();
      }
    },
  );

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
