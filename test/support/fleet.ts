import { openTestProvider, type TestProvider } from '../unit/server/support/provider.ts';
import { type Finished, type Running, start } from './command.ts';
import { makeHome } from './home.ts';
import { freePort, startRedis, type TestRedis } from './redis.ts';
import { until } from './until.ts';

/** `mcp-whoami serve` several times, each a process of its own, with one Redis and one provider. */
export interface Fleet {
  readonly redis: TestRedis;
  readonly provider: TestProvider;
  readonly ports: readonly number[];
  /** Replicas that listen, as far as we know. */
  readonly pids: readonly (number | undefined)[];
  /** An access token for what is served at `publicUrl`. */
  token(sub: string): Promise<string>;
  /** Starts a replica, on the port that it had; settles when it is ready. */
  start(index: number): Promise<void>;
  /** SIGKILL; settles when it has gone. */
  kill(index: number): Promise<void>;
  /** SIGTERM; settles when it has ended by itself. */
  drain(index: number): Promise<Finished | undefined>;
  stop(): Promise<void>;
}

export interface FleetOptions {
  readonly replicas: number;
  /** Where clients reach it: what stands in front is started by the caller. */
  readonly publicUrl: string;
  readonly ports?: readonly number[];
  readonly args?: readonly string[];
}

export async function startFleet({ replicas, publicUrl, args = [], ...given }: FleetOptions): Promise<Fleet> {
  const [redis, provider] = await Promise.all([startRedis(), openTestProvider()]);
  const ports = given.ports ?? (await Promise.all(Array.from({ length: replicas }, freePort)));
  const home = makeHome({ MCP_WHOAMI_REDIS_URL: redis.url });
  const running: (Running | undefined)[] = ports.map(() => undefined);

  async function begin(index: number): Promise<void> {
    const port = ports[index];
    const where = ['--port', String(port), '--public-url', publicUrl, '--issuer', provider.issuer];
    const one = start(['serve', ...where, '--drain-delay', '0', '--log-level', 'warn', ...args], {
      env: home.env,
    });
    running[index] = one;
    await until(`replica ${index}`, 30_000, async () => {
      if (one.child.exitCode !== null) throw new Error(`a replica ended: ${one.stderr()}`);
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
      const state = (await answer?.json()) as { status?: string } | undefined;
      return state?.status === 'ok';
    });
  }

  async function end(index: number, signal: NodeJS.Signals): Promise<Finished | undefined> {
    const one = running[index];
    running[index] = undefined;
    return one?.stop(signal);
  }

  await Promise.all(ports.map((_, index) => begin(index)));
  return {
    redis,
    provider,
    ports,
    get pids() {
      return running.map((one) => one?.child.pid);
    },
    token: (sub) => provider.jwt({ sub, claims: { aud: `${publicUrl}/sse` } }),
    start: begin,
    kill: async (index) => void (await end(index, 'SIGKILL')),
    drain: (index) => end(index, 'SIGTERM'),
    async stop() {
      await Promise.all(ports.map((_, index) => end(index, 'SIGKILL')));
      await Promise.all([provider.close(), redis.stop()]);
      home.remove();
    },
  };
}
