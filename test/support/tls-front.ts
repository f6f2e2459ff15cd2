import { type AddressInfo, connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { Certificate } from './certificates.ts';

export interface TlsFront {
  readonly port: number;
  stop(): Promise<void>;
}

/** Ends TLS in front of a plain server on loopback, as a balancer does. In: its port, asked for with each connection. */
export async function startTlsFront(certificate: Certificate, behind: () => number): Promise<TlsFront> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  const server = createServer(certificate, (client) => {
    const onward = connect(behind(), '127.0.0.1');
    for (const socket of [client, onward]) keep(socket);
    client.once('close', () => onward.destroy()).pipe(onward);
    onward.once('close', () => client.destroy()).pipe(client);
  });
  server.on('connection', keep);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
