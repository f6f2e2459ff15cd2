import { mkdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError, reasonOf } from '../lib/errors.ts';
import { holdersEnd } from './lock-socket.ts';
import { createTurnstile } from './turnstile.ts';
import type { Lock, Locks } from './vault.ts';

/**
 * Locks between the processes of one user that share `configDir`.
 *
 * A lock is a listening local socket: the operating system closes it when its process ends, however it ends, so
 * there is no stale lock to recover and no lease to renew. Who waits is connected to the holder and is woken by
 * the end of that connection. Throws AppError: `lock_timeout`, `vault_failed` when no socket can be made at all.
 */
export function openLocks(configDir: string, platform: NodeJS.Platform = process.platform): Locks {
  async function turnstile(name: string) {
    await mkdir(configDir, { recursive: true, mode: 0o700 });
    return createTurnstile(configDir, name, platform);
  }

  async function acquire(name: string, timeoutMs: number): Promise<Lock> {
    const deadline = performance.now() + timeoutMs;
    const gate = await turnstile(name).catch(failed);
    for (;;) {
      const attempt = await gate.attempt().catch(failed);
      if ('lock' in attempt) return attempt.lock;
      const left = deadline - performance.now();
      if (left <= 0) throw timedOut(name, timeoutMs);
      await holdersEnd(attempt.holder, left);
      // Those who were woken together do not all knock at the same moment.
      await delay(Math.random() * 15);
    }
  }

  async function tryAcquire(name: string): Promise<Lock | undefined> {
    const gate = await turnstile(name).catch(failed);
    const attempt = await gate.attempt().catch(failed);
    return 'lock' in attempt ? attempt.lock : undefined;
  }

  const failed = (cause: unknown): never => {
    throw new AppError('vault_failed', `cannot make a lock for ${configDir}: ${reasonOf(cause)}`, {
      hint: 'make the folder yours again, or name another one in MCP_WHOAMI_CONFIG_DIR',
      cause,
    });
  };
  return { acquire, tryAcquire };
}

function timedOut(name: string, timeoutMs: number): AppError {
  return new AppError(
    'lock_timeout',
    `another mcp-whoami process has kept the lock "${name}" for more than ${timeoutMs / 1000} s`,
    { hint: 'try again; if it stays so, end the other mcp-whoami process' },
  );
}
