// Protected whoami servers beside each other: node bench/server/run.mjs [--rounds 3] [--seconds 3] [--idle 1000]
// The rounds are interleaved; client and provider share the machine with the server. Linux (reads /proc).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { figure, median, percentile, table } from '../lib/figures.mjs';
import { cpuMs, load, memoryKb } from '../lib/processes.mjs';
import { contestants, startProvider, startServer } from './contestants.mjs';
import { openSession } from './sessions.mjs';
import { openWire } from './wire.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    idle: { type: 'string', default: '1000' },
  },
});
const [rounds, seconds, idle] = [values.rounds, values.seconds, values.idle].map(Number);
const many = 64;
const columns = [
  ['ready, ms', 'readyMs', 0],
  ['1 session: p50, ms', 'p50', 2],
  ['p99, ms', 'p99', 1],
  [`calls/s, ${many} sessions`, 'perSecond', 0],
  ['CPU ms for 1,000 calls', 'cpu', 0],
  ['provider asked for 1,000 calls', 'asked', 1],
  ['KB for an idle session', 'sessionKb', 0],
];

const home = mkdtempSync(join(tmpdir(), 'bench-home-'));
const provider = await startProvider();
const measured = new Map();
try {
  for (let round = 1; round <= rounds; round++) {
    console.error(`round ${round}, load ${load()}`);
    for (const path of ['/mcp', '/sse']) {
      for (const contestant of contestants) {
        const key = contestant.name + path;
        const figures = await measure(contestant, path, path === '/sse' && round === 1);
        measured.set(key, [...(measured.get(key) ?? []), figures]);
      }
    }
  }
} finally {
  await provider.stop();
  rmSync(home, { recursive: true, force: true });
}
for (const [path, title] of [
  ['/mcp', 'Streamable HTTP'],
  ['/sse', 'HTTP+SSE'],
]) {
  console.log(`\n${title}, medians of ${rounds} rounds; in brackets: times as much as the SDK alone\n`);
  console.log(
    table(
      ['', ...columns.map(([head]) => head)],
      contestants.map(({ name }) => lineOf(name, path)),
    ),
  );
}
process.exit(0);

function lineOf(name, path) {
  const middle = (who, what) => {
    const known = (measured.get(who + path) ?? []).map((one) => one[what]);
    return median(known.filter((value) => value !== undefined));
  };
  const cells = columns.map(([, what, digits]) => {
    const [value, base] = [middle(name, what), middle(contestants[0].name, what)];
    const ratio =
      name === contestants[0].name || !(value / base < 1_000) ? '' : ` (${figure(value / base, 2)})`;
    return figure(value, digits) + ratio;
  });
  return [name, ...cells];
}

async function measure(contestant, path, withMemory) {
  const server = await startServer(contestant, provider.issuer, home);
  const sessions = [];
  try {
    const sessionKb = withMemory ? await measureMemory(contestant, server) : undefined;
    for (let number = 0; number < many; number++) {
      const sub = `user-${number}-`;
      const token = await provider.mint(contestant.kind, sub, server.port);
      const expected = contestant === contestants[0] ? 'Not authenticated' : sub;
      sessions.push({ expected, ...(await openSession[path](server.port, token)) });
    }
    await callFor(500, sessions);
    const one = await callFor(seconds * 500, sessions.slice(0, 1));
    const [cpuBefore, askedBefore] = [cpuMs(server.pid), await provider.asked()];
    const all = await callFor(seconds * 1_000, sessions);
    const thousands = all.times.length / 1_000;
    return {
      readyMs: server.readyMs,
      p50: median(one.times),
      p99: percentile(one.times, 0.99),
      perSecond: all.times.length / all.seconds,
      cpu: (cpuMs(server.pid) - cpuBefore) / thousands,
      asked: ((await provider.asked()) - askedBefore) / thousands,
      sessionKb,
    };
  } finally {
    for (const session of sessions) session.close();
    await server.stop();
  }
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

/** What an initialized HTTP+SSE session costs while it does nothing; a user for each 20. KiB. */
async function measureMemory({ kind }, { port, pid }) {
  const posts = openWire(port);
  const open = async (number) => {
    const token = await provider.mint(kind, `idle-${Math.floor(number / 20)}`, port);
    return openSession['/sse'](port, token, posts);
  };
  const sessions = [];
  for (let number = 0; number < 50; number++) sessions.push(await open(number));
  await delay(500);
  const before = memoryKb(pid);
  for (let number = 50; number < 50 + idle; number++) sessions.push(await open(number));
  await delay(1_000);
  const each = (memoryKb(pid) - before) / idle;
  for (const session of sessions) session.close();
  return each;
}
