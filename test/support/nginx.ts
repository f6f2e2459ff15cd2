import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './command.ts';
import { until } from './until.ts';

const path = '/usr/sbin/nginx';
/** Tests that need it are skipped where it is not installed. */
export const hasNginx = existsSync(path);

/** The example's file with servers on 127.0.0.1 and without TLS; the rest is as people get it. */
function example(port: number, servers: readonly number[]): string {
  let text = readFileSync(join(root, 'examples/deploy/nginx/whoami.conf'), 'utf8');
  const replace = (found: RegExp, by: string) => {
    if (!found.test(text)) throw new Error(`the example has no ${found}`);
    text = text.replace(found, by);
  };
  replace(/listen 443 ssl http2;/, `listen 127.0.0.1:${port};`);
  replace(/server_name .*;/, '');
  replace(/ssl_certificate .*;/, '');
  replace(/ssl_certificate_key .*;/, '');
  servers.forEach((server, index) => {
    replace(new RegExp(`whoami-${index + 1}:3001`), `127.0.0.1:${server}`);
  });
  return text;
}

/** A real nginx with the example's settings. In: a port for it, and those of two servers. */
export async function startNginx(port: number, servers: readonly number[]) {
  const folder = mkdtempSync(join(tmpdir(), 'nginx-'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const paths = temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join('\n');
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  const log = `log_format served '$request_method $uri $upstream_addr $status';\naccess_log ${folder}/served served;`;
  const file = join(folder, 'nginx.conf');
  const http = `http {\n${paths}\n${log}\n${example(port, servers)}\n}`;
  writeFileSync(file, `${user}daemon off;\nworker_processes 1;\npid ${folder}/pid;\nevents {}\n${http}\n`);
  const child = spawn(path, ['-e', join(folder, 'errors'), '-p', folder, '-c', file], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  await until('nginx', 10_000, async () => {
    if (child.exitCode !== null) throw new Error(readFileSync(join(folder, 'errors'), 'utf8'));
    return fetch(`http://127.0.0.1:${port}/healthz`).then(
      () => true,
      () => false,
    );
  });
  return {
    /** A line for each request that is over: method, path, server, status. */
    served: () => readFileSync(join(folder, 'served'), 'utf8').split('\n').filter(Boolean),
    async stop() {
      child.kill('SIGTERM');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
