import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** The access token that the server of a process of its own lets in. */
export const staticToken = 'bench-token';

/** Starts remote-process.mjs. In: the port; 0: a free one. Out: `origin`, `port`, `kill` (SIGKILL). */
export async function startRemote(port = 0) {
  const program = join(import.meta.dirname, 'remote-process.mjs');
  const child = spawn(process.execPath, [program, String(port), staticToken], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  const origin = /http:\S+/.exec(line)[0];
  return {
    origin,
    port: Number(new URL(origin).port),
    async kill() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
