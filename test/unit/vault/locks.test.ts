import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openLocks } from '../../../src/vault/locks.ts';
import { createSocketFiles } from '../../../src/vault/socket-files.ts';
import { addressOf } from '../../../src/vault/turnstile.ts';

let folder: string;
let worker: string;
let configDir: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'locks-'));
  worker = join(folder, 'worker.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'support/lock-worker.ts')],
    outfile: worker,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'warning',
  });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  configDir = mkdtempSync(join(folder, 'config-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function startWorker(platform: string, rounds: number, counter = ''): ChildProcess {
  const child = spawn(process.execPath, [worker, configDir, platform, String(rounds), counter], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}
const ended = (child: ChildProcess) => new Promise((resolve) => child.once('exit', resolve));
const holding = (child: ChildProcess) => new Promise((resolve) => child.stdout?.once('data', resolve));

// `darwin` stands for the socket files, which work on Linux as well.
describe.skipIf(process.platform === 'win32').each(['linux', 'darwin'] as const)('as on %s', (platform) => {
  test('of six processes one at a time counts', async () => {
    const counter = join(configDir, 'counter');
    writeFileSync(counter, '0');
    const all = Array.from({ length: 6 }, () => ended(startWorker(platform, 15, counter)));
    expect(await Promise.all(all)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(readFileSync(counter, 'utf8')).toBe('90');
  });

  test('a holder that is killed keeps nobody waiting', async () => {
    const holder = startWorker(platform, 0);
    await holding(holder);
    const locks = openLocks(configDir, platform);
    expect(await locks.tryAcquire('count')).toBeUndefined();
    const waiters = [locks.acquire('count', 30_000), locks.acquire('count', 30_000)];
    const killed = performance.now();
    holder.kill('SIGKILL');
    const first = await Promise.race(waiters);
    expect(performance.now() - killed).toBeLessThan(2_000);
    await first.release();
    for (const waiter of waiters) await (await waiter).release();
  });

  test('within one process it excludes too, by name', async () => {
    const locks = openLocks(configDir, platform);
    let inside = 0;
    let most = 0;
    const work = async () => {
      const lock = await locks.acquire('same', 10_000);
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
      await lock.release();
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(most).toBe(1);
    const one = await locks.acquire('one', 1_000);
    const two = await locks.acquire('two', 1_000);
    await Promise.all([one.release(), two.release()]);
  });

  test('waiting ends with an error that says what to do', async () => {
    const locks = openLocks(configDir, platform);
    const lock = await locks.acquire('busy', 1_000);
    await expect(locks.acquire('busy', 120)).rejects.toMatchObject({
      code: 'lock_timeout',
      message: expect.stringContaining('0.12 s'),
    });
    await lock.release();
    await lock.release();
    await (await locks.acquire('busy', 5_000)).release();
  });

  test('folders do not share locks, two names of one folder do', async () => {
    const other = mkdtempSync(join(folder, 'other-'));
    const [here, elsewhere] = [openLocks(configDir, platform), openLocks(other, platform)];
    const again = openLocks(join(configDir, '.', 'x', '..'), platform);
    const lock = await here.acquire('n', 1_000);
    const free = await elsewhere.tryAcquire('n');
    expect(free).toBeDefined();
    expect(await again.tryAcquire('n')).toBeUndefined();
    await Promise.all([lock.release(), free?.release()]);
  });
});

test('Windows waits at a named pipe, Linux at a name outside the file system, the others at files', () => {
  expect(addressOf('win32', 'ab')).toBe('\\\\.\\pipe\\mcp-whoami-ab');
  expect(addressOf('linux', 'ab')).toBe('\0mcp-whoami-ab');
  expect(addressOf('darwin', 'ab')).toBeUndefined();
});

describe.skipIf(process.platform === 'win32')('socket files', () => {
  test('few of them stay, however often the lock changes hands', async () => {
    const locks = openLocks(configDir, 'darwin');
    for (let i = 0; i < 30; i++) await (await locks.acquire('n', 1_000)).release();
    expect(readdirSync(join(configDir, 'locks')).length).toBeLessThanOrEqual(10);
  });

  test('a first name left by a killed process is swept', async () => {
    const holder = startWorker('darwin', 0);
    await holding(holder);
    const gone = ended(holder);
    holder.kill('SIGKILL');
    await gone;
    const first = () => readdirSync(join(configDir, 'locks')).filter((name) => name.includes('.t'));
    expect(first()).toHaveLength(1);
    const locks = openLocks(configDir, 'darwin');
    const lock = await locks.acquire('count', 1_000);
    const [own] = first();
    expect(first()).toEqual([own]);
    await lock.release();
    expect(first()).toEqual([]);
  });

  test('who acts on an old view of the folder withdraws', async () => {
    const [stale, next] = [createSocketFiles(configDir, 'id'), createSocketFiles(configDir, 'id')];
    const locksFolder = join(configDir, 'locks');
    mkdirSync(locksFolder, { mode: 0o700 });
    // The highest number is held; a lower one is free, as after a sweep.
    const server = await listen(join(locksFolder, 'id.7'));
    try {
      expect(await next.attempt()).toEqual({ holder: join(locksFolder, 'id.7') });
      expect(await stale.attempt()).toEqual({ holder: join(locksFolder, 'id.7') });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('a configuration folder with a long path still has locks, in a folder of ours alone', async () => {
    const shared = `/tmp/mcp-whoami-${process.getuid?.()}`;
    const files = () => (existsSync(shared) ? readdirSync(shared) : []);
    const before = files();
    const deep = join(configDir, 'd'.repeat(100));
    const lock = await openLocks(deep, 'darwin').acquire('n', 1_000);
    expect(await openLocks(deep, 'darwin').tryAcquire('n')).toBeUndefined();
    expect(statSync(shared).mode & 0o777).toBe(0o700);
    await lock.release();
    for (const name of files()) if (!before.includes(name)) rmSync(join(shared, name));
  });

  test('a folder that others may write to is refused', async () => {
    mkdirSync(join(configDir, 'locks'));
    chmodSync(join(configDir, 'locks'), 0o777);
    await expect(openLocks(configDir, 'darwin').acquire('n', 1_000)).rejects.toMatchObject({
      code: 'vault_failed',
    });
  });
});

function listen(path: string): Promise<Server> {
  const server = createServer();
  return new Promise((resolve) => server.listen(path, () => resolve(server)));
}
