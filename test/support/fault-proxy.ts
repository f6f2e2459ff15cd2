import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { between } from './fault-random.ts';

/** What happens to one connection. Nothing set: it is forwarded as it is. */
export interface Plan {
  /** Accepted, then broken by RST before anything is forwarded. */
  readonly reset?: boolean;
  /** Open, but nothing is forwarded. */
  readonly hole?: boolean;
  /** Each piece of data is held back so long. Milliseconds. */
  readonly delayMs?: number;
  /** Data towards the client leaves in small pieces. */
  readonly trickle?: { readonly bytes: number; readonly everyMs: number };
  /** Broken when so many bytes have passed: `up` towards the server, `down` towards the client. */
  readonly cut?: { readonly up?: number; readonly down?: number; readonly how: 'reset' | 'end' };
  /** The server's FIN is kept from the client, as by a middlebox that lost track. */
  readonly swallowEnd?: boolean;
}

/** A TCP proxy on loopback that breaks what passes through it, as told. */
export interface FaultProxy {
  readonly port: number;
  readonly origin: string;
  /** The plan of the connections to come; `index` counts from 0. */
  plan: (index: number) => Plan;
  /** Connections accepted so far, and those open now. */
  readonly accepted: number;
  readonly open: number;
  /** The open connections carry nothing any more, and stay open. */
  blackHole(): void;
  /** RST on the open connections. */
  reset(): void;
  /** Does not listen any more (ECONNREFUSED); open connections live on. */
  refuse(): Promise<void>;
  /** Listens again, on the same port. */
  listen(): Promise<void>;
  stop(): Promise<void>;
}

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  dead: boolean;
}

/** In: the port on 127.0.0.1 that is forwarded to. */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const connections = new Set<Connection>();
  let accepted = 0;
  let listener = createServer();
  let port = 0;

  function accept(client: Socket): void {
    const plan = proxy.plan(accepted);
    accepted++;
    client.on('error', () => {});
    if (plan.reset) return void breakOff(client);
    const server = connect({ port: targetPort, host: '127.0.0.1' });
    const connection: Connection = { client, server, dead: plan.hole ?? false };
    connections.add(connection);
    for (const socket of [client, server]) socket.setNoDelay(true);
    server.on('error', () => connection.dead || breakOff(client));
    client.on('close', () => {
      connections.delete(connection);
      server.destroy();
    });
    server.on('close', () => connection.dead || plan.swallowEnd || client.destroy());
    const { cut } = plan;
    const broken = () => {
      if (cut?.how === 'reset') breakOff(client);
      else client.end();
      breakOff(server);
    };
    forward(connection, client, server, createMeter(cut?.up, broken), { ...plan, trickle: undefined });
    forward(connection, server, client, createMeter(cut?.down, broken), plan);
  }

  const listen = () =>
    new Promise<void>((resolve, reject) => {
      listener = createServer({ allowHalfOpen: true }, accept);
      listener.once('error', reject);
      listener.listen(port, '127.0.0.1', () => {
        ({ port } = listener.address() as AddressInfo);
        resolve();
      });
    });
  const refuse = () =>
    new Promise<void>((resolve) => {
      listener.close(() => {});
      listener.unref();
      resolve();
    });
  const reset = () => {
    for (const { client } of connections) breakOff(client);
  };

  const proxy: FaultProxy = {
    plan: () => ({}),
    get port() {
      return port;
    },
    get origin() {
      return `http://127.0.0.1:${port}`;
    },
    get accepted() {
      return accepted;
    },
    get open() {
      return connections.size;
    },
    blackHole() {
      for (const connection of connections) connection.dead = true;
    },
    reset,
    refuse,
    listen,
    async stop() {
      await refuse();
      reset();
    },
  };
  await listen();
  return proxy;
}

/** RST, also where data waits that nobody takes: Node alone would wait for that to leave first. */
function breakOff(socket: Socket): void {
  socket.resetAndDestroy();
  if (!socket.destroyed) setImmediate(() => void socket.destroy());
}

/** Lets `most` bytes through, then calls `broken` once. */
function createMeter(most: number | undefined, broken: () => void): (chunk: Buffer) => Buffer {
  let left = most ?? Number.POSITIVE_INFINITY;
  return (chunk) => {
    const passed = chunk.subarray(0, left);
    if (passed.length < chunk.length) setImmediate(broken);
    left -= passed.length;
    return passed;
  };
}

function forward(
  connection: Connection,
  from: Socket,
  to: Socket,
  meter: (chunk: Buffer) => Buffer,
  { delayMs = 0, trickle, swallowEnd }: Omit<Plan, 'trickle'> & { trickle?: Plan['trickle'] | undefined },
): void {
  let earlier: Promise<void> = Promise.resolve();
  const write = (chunk: Buffer) => {
    if (connection.dead || to.destroyed || chunk.length === 0 || to.write(chunk)) return;
    from.pause();
    to.once('drain', () => from.resume());
  };
  const slowly = async (chunk: Buffer) => {
    if (delayMs > 0) await pause(delayMs);
    const step = trickle?.bytes ?? chunk.length;
    for (let at = 0; at < chunk.length && !to.destroyed; at += step) {
      write(chunk.subarray(at, at + step));
      if (trickle) await pause(trickle.everyMs);
    }
  };
  from.on('data', (chunk: Buffer) => {
    if (connection.dead) return;
    const passed = meter(chunk);
    if (delayMs === 0 && !trickle) write(passed);
    else earlier = earlier.then(() => slowly(passed));
  });
  from.on('end', () => {
    // Nobody can tell from outside that a lost connection was given up.
    if (connection.dead && from === connection.client) return void from.destroy();
    if (connection.dead || (swallowEnd && from === connection.server)) return;
    void earlier.then(() => to.end());
  });
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));

/** A plan of a seeded run: most connections are sound, some are slow, some break early, late or at once. */
export function randomPlan(random: () => number): Plan {
  const dice = random();
  if (dice < 0.86) return {};
  if (dice < 0.89) return { reset: true };
  if (dice < 0.92) return { delayMs: between(random, 1, 20) };
  if (dice < 0.94) return { trickle: { bytes: between(random, 1, 64), everyMs: 1 } };
  const how = random() < 0.5 ? 'reset' : 'end';
  const bytes = between(random, 1, 20_000);
  return { cut: random() < 0.5 ? { up: bytes, how } : { down: bytes, how } };
}
