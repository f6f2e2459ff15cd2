import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startModelScript } from './fault-model-script.ts';
import { randomPlan, startFaultProxy } from './fault-proxy.ts';
import { between, createRandom } from './fault-random.ts';

export interface SoakOptions {
  readonly calls: number;
  readonly seed: number;
  readonly transport: 'sse' | 'http';
  /** The command's script, the model server's script, a folder to write in. */
  readonly command: string;
  readonly model: string;
  readonly folder: string;
  say(text: string): void;
}

/** Terms: end of the fault matrix. `slope`: resident memory over the last half, in MB per 10,000 calls. */
export interface Figures {
  readonly transport: string;
  readonly calls: number;
  readonly seed: number;
  readonly seconds: number;
  /** Answered "ok" without an effect, or never answered. */
  readonly lost: number;
  /** One call that may not run twice, two effects. */
  readonly doubled: number;
  readonly unanswered: number;
  readonly ok: number;
  /** "It may have run", and errors that say that it did not. */
  readonly mayHaveRun: number;
  readonly refused: number;
  readonly repeated: number;
  readonly kills: number;
  readonly resets: number;
  readonly holes: number;
  readonly slope: number;
  readonly peakMb: number;
  readonly died: boolean;
}

const inFlight = 32;
const tools = ['count', 'count', 'count', 'read', 'set'] as const;

export async function soak(options: SoakOptions): Promise<Figures> {
  const { calls, seed, transport, say } = options;
  const random = createRandom(seed);
  const server = await startModelScript(options.model, options.folder, { heartbeatMs: 2_000 });
  const proxy = await startFaultProxy(server.port);
  const url = `${proxy.origin}/${transport === 'sse' ? 'sse' : 'mcp'}`;
  const child = spawn(process.execPath, [options.command, 'bridge', url, '--log-level', 'error'], {
    env: {
      PATH: process.env.PATH,
      HOME: options.folder,
      MCP_WHOAMI_CONFIG_DIR: join(options.folder, 'config'),
      MCP_WHOAMI_TOKEN: 'by-hand',
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin.on('error', () => {});

  const from = performance.now();
  const outcome = new Map<number, 'ok' | 'may' | 'refused'>();
  const open = new Map<number, (line: string) => void>();
  const memory: { readonly calls: number; readonly mb: number }[] = [];
  let [kills, resets, holes, done, died, over] = [0, 0, 0, 0, false, false];
  void gone.then(() => {
    died = !over;
    for (const answer of open.values()) answer('');
  });

  let rest: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    rest.push(chunk);
    if (!chunk.includes('\n')) return;
    const lines = rest.join('').split('\n');
    rest = [lines.pop() ?? ''];
    for (const line of lines) {
      const { id, method } = JSON.parse(line) as { id?: number; method?: string };
      if (method !== undefined || id === undefined) continue;
      const answer = open.get(id);
      if (!answer) throw new Error(`a second answer, or one to nobody: ${line}`);
      open.delete(id);
      answer(line);
    }
  });

  const ask = (id: number, method: string, params: object) =>
    new Promise<string>((resolve) => {
      open.set(id, resolve);
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    });

  await ask(-1, 'initialize', {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'soak', version: '1' },
  });
  child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  // Before anything breaks, the bridge knows the tools.
  let known = '';
  for (let id = -2; !known.includes('"count"') && !died; id--) known = await ask(id, 'tools/list', {});
  proxy.plan = () => randomPlan(random);

  let next = 0;
  async function work(): Promise<void> {
    while (next < calls && !died) {
      const n = next++;
      const slow = random() < 0.02 ? between(random, 1, 300) : 0;
      const name = tools[n % tools.length];
      const line = await ask(n, 'tools/call', { name, arguments: { n, ...(slow ? { ms: slow } : {}) } });
      if (line === '') return;
      outcome.set(n, line.includes(`"ok ${n}"`) ? 'ok' : /may have run/.test(line) ? 'may' : 'refused');
      done++;
      if (done % Math.max(1, Math.floor(calls / 200)) === 0)
        memory.push({ calls: done, mb: residentMb(child.pid) });
      if (done % Math.max(1, Math.floor(calls / 10)) === 0)
        say(
          `${done} calls, ${Math.round((performance.now() - from) / 1000)} s, ${Math.round(residentMb(child.pid))} MB`,
        );
    }
  }

  /** Now and then everything breaks at once; how often does not depend on how fast the machine is. */
  async function vandalize(): Promise<void> {
    let at = 0;
    while (next < calls && !died) {
      at += between(random, 300, 1_500);
      await until(() => done >= at || next >= calls || died);
      if (next >= calls || died) return;
      const dice = random();
      if (dice < 0.9) {
        resets++;
        proxy.reset();
      } else if (dice < 0.99 || holes >= mostHoles) {
        kills++;
        await server.kill();
        await server.start();
      } else {
        holes++;
        proxy.blackHole();
      }
    }
  }
  // Each one costs 12 s by its nature.
  const mostHoles = Math.max(2, Math.ceil(calls / 20_000));

  await Promise.race([Promise.all([...Array.from({ length: inFlight }, work), vandalize()]), gone]);
  const unanswered = open.size;
  over = true;
  child.stdin.end();
  await gone;
  await proxy.stop();
  const effects = server.effects();
  await server.stop();

  const count = (kind: string) => [...outcome.values()].filter((one) => one === kind).length;
  const numbers = Array.from({ length: calls }, (_, n) => n);
  const isCount = (n: number) => tools[n % tools.length] === 'count';
  return {
    transport,
    calls,
    seed,
    seconds: Math.round((performance.now() - from) / 100) / 10,
    lost: numbers.filter((n) => (outcome.get(n) === 'ok' && !effects.has(n)) || !outcome.has(n)).length,
    doubled: numbers.filter((n) => isCount(n) && (effects.get(n) ?? 0) > 1).length,
    unanswered,
    ok: count('ok'),
    mayHaveRun: count('may'),
    refused: count('refused'),
    repeated: numbers.filter((n) => !isCount(n) && (effects.get(n) ?? 0) > 1).length,
    kills,
    resets,
    holes,
    slope: slopeOf(memory.slice(memory.length / 2)),
    peakMb: Math.round(Math.max(0, ...memory.map(({ mb }) => mb))),
    died,
  };
}

function residentMb(pid = 0): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  } catch {
    return 0;
  }
}

/** Least squares, in MB per 10,000 calls. */
function slopeOf(points: readonly { readonly calls: number; readonly mb: number }[]): number {
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const [x, y] = [mean(points.map(({ calls }) => calls)), mean(points.map(({ mb }) => mb))];
  const above = points.reduce((sum, point) => sum + (point.calls - x) * (point.mb - y), 0);
  const below = points.reduce((sum, point) => sum + (point.calls - x) ** 2, 0);
  return below === 0 ? 0 : Math.round((above / below) * 10_000 * 100) / 100;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
