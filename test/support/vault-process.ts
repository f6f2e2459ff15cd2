import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { build } from 'esbuild';
import { root } from './command.ts';

export interface Job {
  readonly store?: 'keychain' | 'file' | 'memory';
  readonly configDir: string;
  readonly waitMs?: number;
  /** Only this binding, as if the other could not be installed. */
  readonly only?: 'keytar' | 'napi';
  readonly maxEntryBytes?: number;
  readonly steps: readonly (readonly [
    what: 'load' | 'save' | 'remove' | 'place',
    key: string,
    value?: string,
  ])[];
}

export interface Outcome {
  readonly kind?: string;
  readonly value?: string | undefined;
  readonly done?: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string | undefined;
}

export interface VaultProcess {
  /** Runs the steps in a process of their own. Out: one outcome a step, behind the one that names the vault. */
  run(job: Job, env: Readonly<Record<string, string>>): Promise<{ outcomes: Outcome[]; stderr: string }>;
  /** Only starts it; its standard output and error are pipes. */
  start(job: Job, env: Readonly<Record<string, string>>): ChildProcess;
  /** The ids of the processes that run a program of this build: probes and keychain workers, or one of them. */
  running(program?: 'probe.js' | 'keychain-worker.js'): string[];
  /** Resolves with the ids that still run when none does, or when the time is over. */
  ended(limitMs: number): Promise<string[]>;
  readonly folder: string;
  remove(): void;
}

/** Builds the probe and the keychain worker as the release is built, below the checkout, where packages are found. */
export async function buildVaultProcess(): Promise<VaultProcess> {
  mkdirSync(join(root, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(root, '.tmp/vault-'));
  await build({
    entryPoints: {
      probe: join(root, 'test/support/vault-probe.ts'),
      'keychain-worker': join(root, 'src/vault/keychain/worker.ts'),
    },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['keytar', '@napi-rs/keyring'],
    logLevel: 'warning',
  });

  function start(job: Job, env: Readonly<Record<string, string>>): ChildProcess {
    return spawn(process.execPath, [join(folder, 'probe.js'), JSON.stringify(job)], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async function run(job: Job, env: Readonly<Record<string, string>>) {
    const child = start(job, env);
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (text) => (stdout += text));
    child.stderr?.on('data', (text) => (stderr += text));
    const code = await new Promise((resolve) => child.once('close', resolve));
    if (code !== 0) throw new Error(`the probe ended with ${code}\n${stdout}${stderr}`);
    const outcomes = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Outcome);
    return { outcomes, stderr };
  }

  function running(program = ''): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(join(folder, program));
      } catch {
        return false;
      }
    });
  }

  async function ended(limitMs: number): Promise<string[]> {
    for (const end = Date.now() + limitMs; Date.now() < end && running().length > 0; await delay(25));
    return running();
  }

  return {
    run,
    start,
    running,
    ended,
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
