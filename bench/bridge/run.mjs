// Bridges beside each other: node bench/bridge/run.mjs [--rounds 3] [--calls 5000] [--only ours,mcp-remote]
// The rounds are interleaved, so that whatever else the machine does meets all alike. Linux (reads /proc).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { figure, median, percentile, table } from '../lib/figures.mjs';
import { cpuMs, load, memoryKb } from '../lib/processes.mjs';
import { startRemote, staticToken } from '../lib/start-remote.mjs';
import { contestants } from './contestants.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    calls: { type: 'string', default: '5000' },
    only: { type: 'string', default: contestants.map(({ name }) => name).join(',') },
  },
});
const [rounds, parallelCalls] = [Number(values.rounds), Number(values.calls)];
const chosen = contestants.filter(({ name }) => values.only.split(',').includes(name));
const inFlight = 64;
const sequentialCalls = Math.ceil(parallelCalls / 10);

const columns = [
  ['start, ms', 'coldMs', 0],
  ['call p50, ms', 'p50', 2],
  ['p99, ms', 'p99', 1],
  [`calls/s, ${inFlight} in flight`, 'perSecond', 0],
  ['CPU ms for 1,000 calls', 'cpu', 0],
  ['memory idle, MB', 'idleMb', 0],
  ['highest, MB', 'peakMb', 0],
];

const measured = new Map();
for (let round = 1; round <= rounds; round++) {
  console.error(`round ${round}, load ${load()}`);
  for (const path of ['/mcp', '/sse']) {
    for (const contestant of chosen) {
      const key = contestant.name + path;
      measured.set(key, [...(measured.get(key) ?? []), await measure(contestant, path)]);
    }
  }
}
for (const [path, title] of [
  ['/mcp', 'Streamable HTTP'],
  ['/sse', 'HTTP+SSE'],
]) {
  console.log(`\n${title}, medians of ${rounds} rounds; in brackets: times as much as ours\n`);
  console.log(
    table(
      ['', ...columns.map(([head]) => head)],
      chosen.map(({ name }) => lineOf(name, path)),
    ),
  );
}
process.exit(0);

function lineOf(name, path) {
  const middle = (who, what) => median((measured.get(who + path) ?? []).map((one) => one[what]));
  const cells = columns.map(([, what, digits]) => {
    const [value, own] = [middle(name, what), middle('ours', what)];
    const ratio = name === 'ours' || !(value / own) ? '' : ` (${figure(value / own, 2)})`;
    return figure(value, digits) + ratio;
  });
  return [name, ...cells];
}

async function measure({ name, start }, path) {
  const home = mkdtempSync(join(tmpdir(), 'bench-home-'));
  const remote = await startRemote();
  const env = { PATH: process.env.PATH, HOME: home, BROWSER: 'none' };
  const client = start(remote.origin + path, staticToken, env);
  const usedMs = () => (client.pid ? cpuMs(client.pid) : Number.NaN);
  try {
    const { coldMs, result } = await client.initialize();
    if (!result) throw new Error(`${name} did not start on ${path}`);
    await delay(500);
    const idleMb = client.pid ? memoryKb(client.pid) / 1024 : Number.NaN;
    for (let count = 0; count < 50; count++) await callOnce(client, name);
    const times = [];
    for (let count = 0; count < sequentialCalls; count++) times.push(await callOnce(client, name));
    const cpuBefore = usedMs();
    const startedAt = performance.now();
    let left = parallelCalls;
    const worker = async () => {
      while (left-- > 0) await callOnce(client, name);
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    return {
      coldMs,
      p50: median(times),
      p99: percentile(times, 0.99),
      perSecond: parallelCalls / ((performance.now() - startedAt) / 1_000),
      cpu: ((usedMs() - cpuBefore) / parallelCalls) * 1_000,
      idleMb,
      peakMb: client.pid ? memoryKb(client.pid, 'VmHWM') / 1024 : Number.NaN,
    };
  } finally {
    await client.stop();
    await remote.kill();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function callOnce(client, name) {
  const startedAt = performance.now();
  const answer = await client.call('whoami');
  if (!answer.result?.content?.[0]?.text.includes('user-1')) {
    throw new Error(`${name} answered ${JSON.stringify(answer)}`);
  }
  return performance.now() - startedAt;
}
