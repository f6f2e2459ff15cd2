import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { until } from './until.ts';

const path = '/usr/bin/redis-server';
/** Tests that need it are skipped where it is not installed. */
export const hasRedis = existsSync(path);

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** A command, as a person would type it. */
  ask(...command: string[]): Promise<unknown>;
  /** Every key with what it holds, as one text. */
  dump(): Promise<string>;
  /** SIGKILL; settles when it has gone, with all it held. */
  kill(): Promise<void>;
  /** Starts it again, empty, on the same port. */
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT: connections stay, nothing is answered. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** A real Redis on a free port, with a folder of its own. In: further arguments for redis-server. */
export async function startRedis(args: readonly string[] = []): Promise<TestRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'redis-'));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
    child = spawn(path, [...fixed, '--save', '', '--appendonly', 'no', ...args], { stdio: 'ignore' });
    await until('Redis', 10_000, () => ask('PING').catch(() => false));
  }

  async function ask(...command: string[]): Promise<unknown> {
    const client = createClient({ url, RESP: 2, socket: { reconnectStrategy: false } });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.sendCommand(command);
    } finally {
      client.destroy();
    }
  }

  async function kill(): Promise<void> {
    const killed = child;
    if (!killed || killed.exitCode !== null || killed.signalCode !== null) return;
    const gone = new Promise((resolve) => killed.once('exit', resolve));
    killed.kill('SIGKILL');
    await gone;
  }

  await start();
  return {
    url,
    port,
    ask,
    async dump() {
      const keys = (await ask('KEYS', '*')) as string[];
      const read = { string: ['GET'], zset: ['ZRANGE', '0', '-1'], stream: ['XRANGE', '-', '+'] };
      const texts = keys.sort().map(async (key) => {
        const [name = '', ...rest] = read[(await ask('TYPE', key)) as keyof typeof read];
        return `${key} ${JSON.stringify(await ask(name, key, ...rest))}`;
      });
      return (await Promise.all(texts)).join('\n');
    },
    kill,
    start,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
