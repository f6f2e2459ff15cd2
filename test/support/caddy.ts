import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './command.ts';
import { until } from './until.ts';

const path = '/usr/bin/caddy';
/** Tests that need it are skipped where it is not installed. */
export const hasCaddy = existsSync(path);

/** A real Caddy with the example's file, on loopback without TLS. In: a port for it, and those of two servers. */
export async function startCaddy(port: number, servers: readonly number[]) {
  const folder = mkdtempSync(join(tmpdir(), 'caddy-'));
  let text = readFileSync(join(root, 'examples/deploy/caddy/Caddyfile'), 'utf8');
  const replace = (found: string, by: string) => {
    if (!text.includes(found)) throw new Error(`the example has no ${found}`);
    text = text.replace(found, by);
  };
  replace('whoami.example.com {', `http://127.0.0.1:${port} {\nbind 127.0.0.1`);
  servers.forEach((server, index) => {
    replace(`whoami-${index + 1}:3001`, `127.0.0.1:${server}`);
  });
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, `{\nadmin off\ngrace_period 1s\n}\n${text}`);
  const env = { PATH: process.env.PATH, HOME: folder };
  const child = spawn(path, ['run', '--adapter', 'caddyfile', '--config', file], { env, stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  await until('Caddy', 10_000, async () => {
    if (child.exitCode !== null) throw new Error('Caddy ended');
    return fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  return {
    async stop() {
      child.kill('SIGTERM');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
