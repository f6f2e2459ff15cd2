import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { AppError } from './errors.ts';

/** How a command ended, and what it left. */
export interface Ended {
  /** Its exit code; `null` when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** The end of what it wrote to standard error. Somebody else's text: not fit to be shown as it is. */
  readonly stderr: string;
}

export interface CommandLimits {
  /** Milliseconds until it is killed. */
  readonly timeoutMs: number;
  /** Bytes on standard output, above which it is killed. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A command as a setting has it: the path of an existing file, else words parted by white space. Quotes, variables
 * and pipes mean nothing: there is no shell.
 */
export function commandWords(given: string): readonly string[] {
  const command = given.trim();
  return existsSync(command) ? [command] : command.split(/\s+/);
}

/** How much of standard error is kept. Bytes. */
const keptError = 4 * 1024;
/** A helper that it left behind may keep the pipes open: what it wrote itself is there by then. Milliseconds. */
const drainMs = 250;

/**
 * Runs a command for what it prints, without a shell and without standard input, and never waits without an end.
 *
 * Throws the system's error when it cannot be started, AppError `timeout`, `too_large`, `cancelled`.
 */
export function runCommand(words: readonly string[], limits: CommandLimits): Promise<Ended> {
  const [file = '', ...args] = words;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], shell: false, windowsHide: true });
    const chunks: Buffer[] = [];
    let size = 0;
    let stderr = Buffer.alloc(0);
    let drain: NodeJS.Timeout | undefined;

    const over = () => {
      clearTimeout(timer);
      clearTimeout(drain);
      limits.signal?.removeEventListener('abort', cancel);
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const stop = (error: AppError) => {
      over();
      child.kill('SIGKILL');
      reject(error);
    };
    const end = (code: number | null) => {
      over();
      resolve({ code, stdout: Buffer.concat(chunks).toString('utf8'), stderr: stderr.toString('utf8') });
    };
    const cancel = () => stop(new AppError('cancelled', 'cancelled'));
    const timer = setTimeout(
      () => stop(new AppError('timeout', `it has not ended within ${limits.timeoutMs / 1000} s`)),
      limits.timeoutMs,
    );

    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= limits.maxBytes) return;
      stop(new AppError('too_large', `it prints more than ${limits.maxBytes / 1024} KiB`));
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-keptError);
    });
    child.once('error', (error) => {
      over();
      reject(error);
    });
    child.once('exit', (code) => {
      drain = setTimeout(() => end(code), drainMs);
    });
    child.once('close', (code) => end(code));
    limits.signal?.addEventListener('abort', cancel, { once: true });
    if (limits.signal?.aborted) cancel();
  });
}
