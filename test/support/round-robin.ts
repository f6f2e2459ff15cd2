import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A reverse proxy that sends each request to the next server, whoever asks: nothing is sticky. */
export interface RoundRobin {
  readonly origin: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** In: ports on 127.0.0.1. One that refuses the connection is passed over, as balancers do. */
export async function startRoundRobin(ports: () => readonly number[]): Promise<RoundRobin> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1_024 });
  let turn = 0;

  function forward(req: IncomingMessage, res: ServerResponse, tries: number): void {
    const all = ports();
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
        agent.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
