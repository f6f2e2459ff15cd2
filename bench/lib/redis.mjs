import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { end } from './processes.mjs';

/** A real Redis on a free port. Out: `url`, `pid`, `commands` (how many it has run), `usedBytes`, `stop`. */
export async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'bench-redis-'));
  const port = await freePort();
  const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
  const child = spawn('redis-server', [...where, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
  const url = `redis://127.0.0.1:${port}`;
  const client = createClient({ url, RESP: 2, socket: { reconnectStrategy: () => 50 } });
  client.on('error', () => {});
  await Promise.race([client.connect(), delay(10_000).then(() => Promise.reject(new Error('no Redis')))]);
  const info = async (section, name) =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await client.sendCommand(['INFO', section]))?.[1]);
  return {
    url,
    pid: child.pid,
    commands: () => info('stats', 'total_commands_processed'),
    usedBytes: () => info('memory', 'used_memory'),
    async stop() {
      client.destroy();
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
