import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { ours, packageOf, peersFolder } from '../lib/peers.mjs';
import { end } from '../lib/processes.mjs';

// Beside the packages that they import, which are not those of the project.
const programs = join(peersFolder, 'mcp-auth/programs');

/** The servers, and the kind of token that each is called with. */
export const contestants = [
  { name: 'SDK, no authentication', kind: 'opaque', command: (port) => program('bare', port) },
  {
    name: 'MCP Auth, userinfo',
    kind: 'opaque',
    command: (port, issuer) => program('mcp-auth-userinfo', port, issuer),
  },
  { name: 'MCP Auth, JWT', kind: 'jwt', command: (port, issuer) => program('mcp-auth-jwt', port, issuer) },
  { name: 'ours, userinfo', kind: 'opaque', command: serve },
  { name: 'ours, JWT', kind: 'jwt', command: serve },
];

function program(name, ...args) {
  packageOf('mcp-auth');
  cpSync(join(import.meta.dirname, 'peers'), programs, { recursive: true });
  return [process.execPath, join(programs, `${name}.mjs`), ...args];
}

function serve(port, issuer) {
  return [...ours, 'serve', '--port', port, '--issuer', issuer];
}

/** Starts a server on a free port. Out: `port`, `pid`, `readyMs` until the port answers, `stop`. */
export async function startServer({ command }, issuer, home) {
  const port = await freePort();
  const [file, ...args] = command(String(port), issuer);
  const env = { PATH: process.env.PATH, HOME: home, NODE_ENV: 'production' };
  const startedAt = performance.now();
  const child = spawn(file, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said = (said + text).slice(-2_000);
  });
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`${args.join(' ')} ended: ${said}`);
    await delay(10);
  }
  return { port, pid: child.pid, readyMs: performance.now() - startedAt, stop: () => end(child) };
}

/** Starts provider.mjs. Out: `issuer`, `mint`, `asked` (requests so far), `stop`. */
export async function startProvider() {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'provider.mjs')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  const issuer = /http:\S+/.exec(line)[0];
  const ask = async (path) => (await fetch(new URL(path, issuer))).json();
  return {
    issuer,
    async mint(kind, sub, port) {
      const audiences = ['/', '/mcp', '/sse'].map((path) => `http://127.0.0.1:${port}${path}`);
      return (await ask(`/mint?${new URLSearchParams({ kind, sub, aud: audiences.join(',') })}`)).token;
    },
    asked: async () => Object.values(await ask('/counts')).reduce((sum, count) => sum + count, 0),
    stop: () => end(child),
  };
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
