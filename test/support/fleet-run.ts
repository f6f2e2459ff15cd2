import { type Answer, type FaultClient, startFaultClient } from './fault-client.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { freePort } from './redis.ts';
import { startRoundRobin } from './round-robin.ts';
import { until } from './until.ts';

export interface FleetRunOptions {
  readonly calls: number;
  readonly replicas: number;
  readonly bridges: number;
  readonly transport: 'sse' | 'http';
  /** How often a replica is ended and started again, each in its turn. */
  readonly rounds: number;
  /** `kill`: by SIGKILL. `drain`: by SIGTERM, which lets it finish; the balancer asks for readiness then. */
  readonly how: 'kill' | 'drain';
  /** In every `replicas`-th of these rounds Redis is killed too, and started again, empty. */
  readonly killRedis: boolean;
  say(text: string): void;
}

/** Terms: end of the fault matrix. Times in milliseconds. */
export interface FleetFigures {
  readonly transport: string;
  readonly replicas: number;
  readonly bridges: number;
  readonly calls: number;
  readonly seconds: number;
  readonly ok: number;
  /** Answered with somebody else's name, or with none. */
  readonly wrong: number;
  /** Never answered. */
  readonly lost: number;
  /** Answered once more. */
  readonly doubled: number;
  /** Answered with an error, and with which. */
  readonly errors: number;
  readonly messages: Readonly<Record<string, number>>;
  /** Replicas that were ended, and how. */
  readonly how: string;
  readonly kills: number;
  readonly redisKills: number;
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
}

const inFlightEach = 4;
const longestAnswer = 120_000;

/**
 * Bridges, each somebody else's, call whoami through a balancer without stickiness, while one replica after the
 * other is killed and started again.
 */
export async function runFleet(options: FleetRunOptions): Promise<FleetFigures> {
  const { calls, replicas, bridges, transport, rounds, how, killRedis, say } = options;
  const ports = await Promise.all(Array.from({ length: replicas }, freePort));
  const proxy = await startRoundRobin({ ports, askReadiness: how === 'drain' });
  const fleet = await startFleet({
    replicas,
    ports,
    publicUrl: proxy.origin,
    // The balancer is given time to see that it is not ready.
    args: how === 'drain' ? ['--drain-delay', '1'] : [],
  });
  const people: { readonly sub: string; readonly client: FaultClient }[] = [];
  try {
    const url = `${proxy.origin}/${transport === 'sse' ? 'sse' : 'mcp'}`;
    const args = ['--transport', transport, '--log-level', 'warn'];
    for (let i = 0; i < bridges; i++) {
      const sub = `person-${i}`;
      const env = { MCP_WHOAMI_TOKEN: await fleet.token(sub) };
      people.push({ sub, client: startFaultClient(url, { args, env }) });
    }
    await Promise.all(people.map(({ client }) => meet(client)));
    return await callAndKill();
  } finally {
    await Promise.all(people.map(({ client }) => client.discard()));
    await fleet.stop();
    await proxy.stop();
  }

  async function callAndKill(): Promise<FleetFigures> {
    const from = performance.now();
    const times: number[] = [];
    const messages: Record<string, number> = {};
    let [begun, done, ok, wrong, lost, allowed, kills, redisKills] = [0, 0, 0, 0, 0, 0, 0, 0];

    async function work({ sub, client }: (typeof people)[number]): Promise<void> {
      while (begun < calls) {
        if (begun >= allowed) {
          await until('the next round', 120_000, () => begun < allowed || begun >= calls);
          continue;
        }
        begun++;
        const call = client.request('tools/call', { name: 'whoami', arguments: {} });
        const answer = await Promise.race([call, late()]);
        done++;
        if (!answer) lost++;
        else count(answer, sub);
      }
    }

    function count({ json, ms }: Answer, sub: string): void {
      times.push(ms);
      const text = json.result?.content?.[0]?.text ?? json.error?.message ?? '';
      if (json.error || json.result?.isError) messages[text] = (messages[text] ?? 0) + 1;
      else if ((JSON.parse(text) as { sub?: string }).sub === sub) ok++;
      else wrong++;
    }

    /** Each round ends with every replica up; how long that takes does not depend on how many calls there are. */
    async function vandalize(): Promise<void> {
      for (let round = 0; round < rounds; round++) {
        const [first, next] = [round, round + 1].map((n) => Math.round((n / rounds) * calls)) as [
          number,
          number,
        ];
        allowed = next;
        const third = (next - first) / 3;
        const victim = round % replicas;
        await until('calls before the kill', 120_000, () => done >= first + third);
        if (how === 'kill') await fleet.kill(victim);
        else if ((await fleet.drain(victim))?.code !== 0) throw new Error('a replica did not end well');
        kills++;
        const alsoRedis = killRedis && (round + 1) % replicas === Math.ceil(replicas / 2) % replicas;
        if (alsoRedis) await killStore(fleet);
        if (alsoRedis) redisKills++;
        await until('calls without it', 120_000, () => done >= first + 2 * third);
        await fleet.start(victim);
        say(`${done} calls, ${Math.round((performance.now() - from) / 1000)} s, ${kills} kills`);
      }
    }

    const workers = people.flatMap((one) => Array.from({ length: inFlightEach }, () => work(one)));
    await Promise.all([...workers, vandalize()]);
    const sorted = times.sort((a, b) => a - b);
    const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
    return {
      transport,
      replicas,
      bridges,
      calls,
      seconds: Math.round((performance.now() - from) / 100) / 10,
      ok,
      wrong,
      lost,
      doubled: people.flatMap(({ client }) => client.wrong).length,
      errors: Object.values(messages).reduce((sum, n) => sum + n, 0),
      messages,
      how,
      kills,
      redisKills,
      p50: at(0.5),
      p99: at(0.99),
      longest: at(1 - 1 / sorted.length),
    };
  }
}

/** Before anything breaks, the bridge knows the tool, and that it may run twice. */
async function meet(client: FaultClient): Promise<void> {
  await client.greet();
  await until('the list of tools', 60_000, async () =>
    (await client.request('tools/list')).line.includes('"whoami"'),
  );
}

async function killStore({ redis }: Fleet): Promise<void> {
  await redis.kill();
  // Long enough for every replica to have noticed, and for calls to come without it.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await redis.start();
}

function late(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), longestAnswer).unref());
}
