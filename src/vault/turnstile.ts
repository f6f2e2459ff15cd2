import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { hasCode } from '../lib/errors.ts';
import { listenAt, type Turnstile, takenCodes } from './lock-socket.ts';
import { createSocketFiles } from './socket-files.ts';

/**
 * The lock `name` of the users of `configDir`, by the platform's best means.
 *
 * Linux: a socket in the abstract namespace. Windows: a named pipe. Both vanish with their process and leave
 * nothing behind. macOS and the others, and a Node too old to know abstract sockets (before 20.10): socket files.
 */
export async function createTurnstile(
  configDir: string,
  name: string,
  platform: NodeJS.Platform,
): Promise<Turnstile> {
  const folder = await realpath(configDir);
  const parts = JSON.stringify([process.getuid?.() ?? 'windows', folder, name]);
  const id = createHash('sha256').update(parts).digest('hex').slice(0, 24);
  const address = addressOf(platform, id);
  const files = () => createSocketFiles(folder, id);
  return address ? byName(address, files) : files();
}

/** A name outside the file system that the platform frees with the process; `undefined` where there is none. */
export function addressOf(platform: NodeJS.Platform, id: string): string | undefined {
  if (platform === 'linux') return `\0mcp-whoami-${id}`;
  return platform === 'win32' ? `\\\\.\\pipe\\mcp-whoami-${id}` : undefined;
}

/** A namespace in which an address is free or taken, and free again once its process is gone. */
function byName(address: string, fallback: () => Turnstile): Turnstile {
  return {
    async attempt() {
      try {
        return { lock: await listenAt(address) };
      } catch (error) {
        if (hasCode(error, ...takenCodes)) return { holder: address };
        if (hasCode(error, 'EINVAL')) return fallback().attempt();
        throw error;
      }
    },
  };
}
