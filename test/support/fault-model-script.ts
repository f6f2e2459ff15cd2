import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelOptions } from './model-server.ts';

/** The model server as a process that can be killed; what its calls did is remembered across its lives. */
export interface ModelProcess {
  readonly port: number;
  readonly sse: string;
  readonly mcp: string;
  readonly pid: number;
  /** How often each number has had its effect, in all lives. */
  effects(): Map<number, number>;
  /** SIGKILL; settles when the process has gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export type ModelProcessOptions = Omit<ModelOptions, 'effect' | 'port'>;

/** In: the bundled script, a folder for what it remembers. */
export async function startModelScript(
  script: string,
  folder: string,
  options: ModelProcessOptions = {},
): Promise<ModelProcess> {
  const file = join(folder, 'effects');
  closeSync(openSync(file, 'a'));
  let port = 0;
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const started = spawn(process.execPath, [script, String(port), file, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    port = await new Promise<number>((resolve, reject) => {
      started.stdout.once('data', (text: Buffer) => resolve(Number(text.toString())));
      started.once('exit', (code) => reject(new Error(`the model server ended with ${code}`)));
    });
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
    port,
    sse: `http://127.0.0.1:${port}/sse`,
    mcp: `http://127.0.0.1:${port}/mcp`,
    get pid() {
      return child?.pid ?? 0;
    },
    effects() {
      const counts = new Map<number, number>();
      for (const line of readFileSync(file, 'utf8').split('\n')) {
        if (line !== '') counts.set(Number(line), (counts.get(Number(line)) ?? 0) + 1);
      }
      return counts;
    },
    kill,
    start,
    stop: kill,
  };
}
