// How replicas scale: node bench/server/replicas.mjs [--rounds 3] [--seconds 10] [--idle 1000]
// Each POST goes to the next replica, wherever the stream is. Rounds are interleaved; client, provider, Redis and
// replicas share the machine. Linux (reads /proc), with redis-server.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { figure, median, percentile, table } from '../lib/figures.mjs';
import { ours } from '../lib/peers.mjs';
import { cpuMs, load, memoryKb } from '../lib/processes.mjs';
import { freePort, startRedis } from '../lib/redis.mjs';
import { startProvider, startServer } from './contestants.mjs';
import { openSession } from './sessions.mjs';
import { openWire } from './wire.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    idle: { type: 'string', default: '1000' },
  },
});
const [rounds, seconds, idle] = [values.rounds, values.seconds, values.idle].map(Number);
/** As many that four processes are busy, and not waiting for each other. */
const many = 512;
const idleMs = 10_000;
const rows = [
  { name: '1 process, no Redis, HTTP+SSE', path: '/sse', replicas: 1, shared: false },
  { name: '1 process, HTTP+SSE', path: '/sse', replicas: 1, shared: true },
  { name: '2 processes, HTTP+SSE', path: '/sse', replicas: 2, shared: true },
  { name: '4 processes, HTTP+SSE', path: '/sse', replicas: 4, shared: true },
  { name: '1 process, Streamable HTTP', path: '/mcp', replicas: 1, shared: true },
  { name: '2 processes, Streamable HTTP', path: '/mcp', replicas: 2, shared: true },
  { name: '4 processes, Streamable HTTP', path: '/mcp', replicas: 4, shared: true },
];
const columns = [
  [`calls/s, ${many} sessions`, 'perSecond', 0],
  ['p50, ms', 'p50', 2],
  ['p99, ms', 'p99', 1],
  ['server CPU ms for 1,000 calls', 'cpu', 0],
  ['Redis CPU ms for 1,000 calls', 'redisCpu', 0],
  ['Redis commands a call', 'commands', 2],
  ['KB for an idle session', 'sessionKb', 1],
  ['bytes in Redis for it', 'redisBytes', 0],
  ['CPU ms a second for 1,000 of them', 'idleCpu', 1],
];

const home = mkdtempSync(join(tmpdir(), 'bench-home-'));
const provider = await startProvider();
let busy = 0;
const measured = new Map(rows.map((row) => [row, []]));
try {
  for (let round = 1; round <= rounds; round++) {
    console.error(`round ${round}, load ${load()}`);
    console.error(`${busy} times 503 so far`);
    for (const row of rows) measured.get(row).push(await measure(row, round === 1 && row.path === '/sse'));
  }
} finally {
  await provider.stop();
  rmSync(home, { recursive: true, force: true });
}
const middle = (row, what) => {
  const known = measured.get(row).map((one) => one[what]);
  return median(known.filter((value) => value !== undefined));
};
console.log(`\nMedians of ${rounds} rounds; in brackets: times as much as the first row of the transport\n`);
console.log(
  table(
    ['', ...columns.map(([head]) => head)],
    rows.map((row) => [row.name, ...columns.map((column) => cell(row, column))]),
  ),
);
process.exit(0);

function cell(row, [, what, digits]) {
  const base = rows.find(({ path }) => path === row.path);
  const ratio = middle(row, what) / middle(base, what);
  const shown = row !== base && ratio < 1_000 ? ` (${figure(ratio, 2)})` : '';
  return figure(middle(row, what), digits) + shown;
}

async function measure({ path, replicas, shared }, withMemory) {
  const redis = await startRedis();
  const known = await freePort();
  const audience = `http://127.0.0.1:${known}/sse`;
  const command = (port, issuer) => [
    ...[...ours, 'serve', '--port', port, '--issuer', issuer, '--audience', audience],
    ...(shared ? ['--redis', redis.url] : []),
  ];
  const servers = [];
  for (let i = 0; i < replicas; i++) servers.push(await startServer({ command }, provider.issuer, home));
  await Promise.all(servers.map(({ port }) => untilReady(port)));
  const cpu = () => servers.reduce((sum, { pid }) => sum + cpuMs(pid), 0);
  const sessions = [];
  try {
    const memory = withMemory ? await measureMemory(servers, redis, known) : {};
    for (let number = 0; number < many; number++) {
      const sub = `user-${number}-`;
      const token = await provider.mint('jwt', sub, known);
      const { port } = servers[number % replicas];
      sessions.push({ expected: sub, ...(await open(path, port, token, servers, number)) });
    }
    // As long as it is measured: four processes need four times the calls to be as warm as one.
    await callFor(seconds * 1_000, sessions);
    const [ownBefore, redisBefore, commandsBefore] = [cpu(), cpuMs(redis.pid), await redis.commands()];
    const { times, seconds: took } = await callFor(seconds * 1_000, sessions);
    const thousands = times.length / 1_000;
    return {
      perSecond: times.length / took,
      p50: median(times),
      p99: percentile(times, 0.99),
      cpu: (cpu() - ownBefore) / thousands,
      redisCpu: (cpuMs(redis.pid) - redisBefore) / thousands,
      // Without the two that ask.
      commands: Math.max(0, (await redis.commands()) - commandsBefore - 2) / times.length,
      ...memory,
    };
  } finally {
    for (const session of sessions) session.close();
    await Promise.all(servers.map((server) => server.stop()));
    await redis.stop();
  }
}

async function untilReady(port) {
  while (!(await fetch(`http://127.0.0.1:${port}/readyz`)).ok) await delay(20);
}

/** A session whose POSTs go round, beginning at another replica for each session. */
async function open(path, port, token, servers, first) {
  if (path === '/sse') return openSession[path](port, token, goingRound(servers, first));
  const each = await Promise.all(servers.map((server) => openSession[path](server.port, token)));
  let turn = first;
  return {
    call: () => each[turn++ % each.length].call(),
    close() {
      for (const one of each) one.close();
    },
  };
}

function goingRound(servers, first) {
  const wires = servers.map((server) => openWire(server.port));
  let turn = first;
  return {
    async send(...args) {
      const answer = await wires[turn++ % wires.length].send(...args);
      if (answer.status !== 503) return answer;
      // A replica that Redis has kept waiting: as it asks for.
      busy++;
      await delay(1_000);
      return this.send(...args);
    },
    close() {
      for (const wire of wires) wire.close();
    },
  };
}

/** Each session calls as soon as it was answered; each answer must carry that session's own subject. */
async function callFor(ms, sessions) {
  const startedAt = performance.now();
  const times = [];
  const callOn = async ({ call, expected }) => {
    for (let at = performance.now(); at < startedAt + ms; ) {
      const answer = await call();
      if (!answer.includes(expected)) throw new Error(`not an answer for ${expected}: ${answer}`);
      const next = performance.now();
      times.push(next - at);
      at = next;
    }
  };
  await Promise.all(sessions.map(callOn));
  return { times, seconds: (performance.now() - startedAt) / 1_000 };
}

/** What a session costs while it does nothing: in the processes together (KiB), and in Redis (bytes). */
async function measureMemory(servers, redis, known) {
  const posts = goingRound(servers, 0);
  const sessions = [];
  async function openMore(from, count) {
    for (let number = from; number < from + count; number++) {
      const token = await provider.mint('jwt', `idle-${Math.floor(number / 20)}`, known);
      sessions.push(await openSession['/sse'](servers[number % servers.length].port, token, posts));
    }
    await delay(1_000);
  }
  const cpu = () => servers.reduce((sum, { pid }) => sum + cpuMs(pid), 0);
  const resident = () => servers.reduce((sum, { pid }) => sum + memoryKb(pid), 0);
  await openMore(0, 100);
  const before = [resident(), await redis.usedBytes()];
  await openMore(100, idle);
  const after = [resident(), await redis.usedBytes()];
  const cpuBefore = cpu();
  await delay(idleMs);
  const idleCpu = (cpu() - cpuBefore) / (idleMs / 1_000) / (sessions.length / 1_000);
  for (const session of sessions) session.close();
  await delay(2_000);
  const [sessionKb, redisBytes] = after.map((value, index) => Math.max(0, value - before[index]) / idle);
  return { sessionKb, redisBytes, idleCpu };
}
