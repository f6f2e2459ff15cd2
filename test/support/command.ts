import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

export const root = join(import.meta.dirname, '../..');
export const bin = join(root, 'bin/mcp-whoami.js');

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly finished: Promise<Finished>;
  stdout(): string;
  stderr(): string;
  /** Resolves with the match as soon as what was printed on either stream fits; rejects when it ends before. */
  printed(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  stop(signal?: NodeJS.Signals): Promise<Finished>;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** What is on standard input before its end; default: it stays open. */
  readonly input?: string;
  readonly node?: string;
}

/** Starts the built command, as a terminal or a client would: the real binary, an environment of its own. */
export function start(args: readonly string[], options: CommandOptions = {}): Running {
  const env = { PATH: process.env.PATH, LANG: 'C.UTF-8', ...options.env };
  const child = spawn(options.node ?? process.execPath, [bin, ...args], {
    env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd ? { cwd: options.cwd } : {}),
  });
  let [stdout, stderr] = ['', ''];
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of [...watchers]) watcher();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    changed();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    changed();
  });
  child.stdin.on('error', () => {});
  if (options.input !== undefined) child.stdin.end(options.input);
  let ended: Finished | undefined;
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code, signal) => {
      ended = { code, signal, stdout, stderr };
      resolve(ended);
      changed();
    });
  });

  function printed(pattern: RegExp, timeoutMs = 15_000): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => {
        done();
        reject(new Error(`${why} before ${pattern}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`));
      };
      const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
      const look = () => {
        const found = stdout.match(pattern) ?? stderr.match(pattern);
        if (found) {
          done();
          resolve(found);
        } else if (ended) fail(`it ended (${ended.code ?? ended.signal})`);
      };
      const done = () => {
        clearTimeout(timer);
        watchers.delete(look);
      };
      watchers.add(look);
      look();
    });
  }

  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    return finished;
  };
  return { child, finished, stdout: () => stdout, stderr: () => stderr, printed, stop };
}

/** Runs the built command to its end. */
export function command(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return start(args, { input: '', ...options }).finished;
}
