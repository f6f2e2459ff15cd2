import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A reverse proxy that sends each request to the next server, whoever asks: nothing is sticky. */
export interface RoundRobin {
  readonly origin: string;
  readonly port: number;
  stop(): Promise<void>;
}

export interface RoundRobinOptions {
  /** On 127.0.0.1. One that refuses the connection is passed over, as balancers do. */
  readonly ports: readonly number[];
  /** Those that say at /readyz that they are not ready get nothing either. */
  readonly askReadiness: boolean;
}

/** Time between two questions for readiness. Milliseconds. */
const askEvery = 100;

export async function startRoundRobin({ ports, askReadiness }: RoundRobinOptions): Promise<RoundRobin> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1_024 });
  const unready = new Set<number>();
  const timer = askReadiness ? setInterval(() => ports.forEach(ask), askEvery) : undefined;
  let turn = 0;

  function ask(port: number): void {
    void fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => (ok ? unready.delete(port) : unready.add(port)),
      () => unready.add(port),
    );
  }

  function choose(): readonly number[] {
    const ready = ports.filter((port) => !unready.has(port));
    return ready.length > 0 ? ready : ports;
  }

  function forward(req: IncomingMessage, res: ServerResponse, tries: number): void {
    const all = choose();
    const port = all[turn++ % all.length] ?? 0;
    const { method = '', url = '', headers } = req;
    const onward = request({ host: '127.0.0.1', port, method, path: url, headers, agent });
    let sent = false;
    onward.on('socket', (socket) => {
      const begin = () => {
        sent = true;
        req.pipe(onward);
      };
      if (socket.connecting) socket.once('connect', begin);
      else begin();
    });
    onward.on('response', (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      res.flushHeaders();
      answer.pipe(res);
      answer.on('close', () => answer.complete || res.destroy());
    });
    onward.on('error', () => {
      if (res.headersSent) return void res.destroy();
      // What may have arrived is not for us to repeat.
      if (!sent && tries < all.length) return forward(req, res, tries + 1);
      res.writeHead(502).end();
    });
    res.on('close', () => onward.destroy());
  }

  const server = createServer((req, res) => forward(req, res, 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    stop: () =>
      new Promise((resolve) => {
        clearInterval(timer);
        agent.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
