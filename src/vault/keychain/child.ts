import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BindingName, bindingNames } from '../index-entry.ts';
import type { KeychainBackend } from './backend.ts';

export interface Question {
  readonly id: number;
  readonly binding: BindingName;
  readonly method: 'get' | 'set' | 'delete';
  readonly account: string;
  readonly value?: string;
}

export type Answer =
  | { readonly id: number; readonly value: string | boolean | null }
  | { readonly id: number; readonly error: { readonly message: string; readonly code?: string | undefined } };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** How long the child stays for the next question. Milliseconds. */
const idleMs = 5_000;

/**
 * Both bindings, in a child process of our own.
 *
 * A native call that waits for a person cannot be taken back: it keeps its thread, and with it the process that
 * wants to end (measured: 50 s for two calls); the other binding even blocks the thread of all events. A child
 * can be killed. It is started at the first question, inherits no secret of ours, is handed them through a pipe
 * only, leaves when idle and never outlives us. In: the environment it runs with.
 */
export function childBackends(
  environment: Readonly<Record<string, string | undefined>>,
): readonly KeychainBackend[] {
  let child: ChildProcess | undefined;
  let idle: NodeJS.Timeout | undefined;
  let lastId = 0;
  const waiting = new Map<number, Waiting>();

  function start(): ChildProcess {
    const started = spawn(
      process.execPath,
      [fileURLToPath(new URL('./keychain-worker.js', import.meta.url))],
      {
        env: withoutSecrets(environment),
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        windowsHide: true,
      },
    );
    started.on('message', (answer: Answer) => settle(answer));
    started.on('error', (error) => ended(started, error));
    started.on('exit', (code, signal) => ended(started, new Error(`it ended (${signal ?? code})`)));
    return started;
  }

  function ended(process: ChildProcess, error: Error): void {
    if (process !== child) return;
    child = undefined;
    for (const { reject } of waiting.values()) {
      reject(new Error(`the keychain process failed: ${error.message}`, { cause: error }));
    }
    waiting.clear();
  }

  function settle(answer: Answer): void {
    const caller = waiting.get(answer.id);
    waiting.delete(answer.id);
    if ('error' in answer) caller?.reject(Object.assign(new Error(answer.error.message), answer.error));
    else caller?.resolve(answer.value);
    if (waiting.size === 0) rest();
  }

  /** A child without work keeps nobody from ending, and ends itself. */
  function rest(): void {
    child?.unref();
    child?.channel?.unref();
    idle = setTimeout(abandon, idleMs).unref();
  }

  function abandon(): void {
    const late = child;
    if (!late) return;
    late.kill('SIGKILL');
    ended(late, new Error('its time was over'));
  }

  function ask<T>(question: Omit<Question, 'id'>): Promise<T> {
    clearTimeout(idle);
    child ??= start();
    const asked = child;
    asked.ref();
    asked.channel?.ref();
    const id = ++lastId;
    return new Promise<T>((resolve, reject) => {
      waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
      asked.send({ id, ...question }, (error) => error && ended(asked, error));
    });
  }

  return bindingNames.map((binding) => ({
    name: binding,
    get: (account) => ask<string | null>({ binding, method: 'get', account }),
    set: (account, value) => ask<void>({ binding, method: 'set', account, value }),
    delete: (account) => ask<boolean>({ binding, method: 'delete', account }),
    abandon,
  }));
}

/** Our own variables stay with us, and so do options for another Node (an inspector's port, a loader). */
function withoutSecrets(environment: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^(MCP_WHOAMI_|NODE_OPTIONS$|NODE_CHANNEL_)/i.test(name)),
  );
}
