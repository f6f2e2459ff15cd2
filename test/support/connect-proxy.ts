import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Certificate } from './certificates.ts';

export interface ConnectProxy {
  readonly port: number;
  /** `http://127.0.0.1:PORT`, or https where it has a certificate. */
  readonly url: string;
  /** The targets of CONNECT, in order, and the credentials that came with them. */
  readonly asked: { readonly target: string; readonly credentials: string | undefined }[];
  /** Where each `host:port` leads: a port on loopback. Only the proxy knows these names. */
  readonly routes: Map<string, number>;
  /** Answers CONNECT with this status instead, and these headers. */
  refuse: { readonly status: number; readonly headers?: string } | undefined;
  /** `user:password` of those it knows; others get 407. */
  wanted: readonly string[] | undefined;
  /** Ends what goes through it. */
  cut(): void;
  stop(): Promise<void>;
}

/** A forward proxy on loopback that knows CONNECT alone, as the proxies of companies do for https. */
export async function startConnectProxy(certificate?: Certificate): Promise<ConnectProxy> {
  const server = certificate ? createTlsServer(certificate) : createServer();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  server.on('connection', keep);
  server.on('connect', ({ url: target = '', headers }: IncomingMessage, client: Socket) => {
    client.on('error', () => {});
    const credentials = headers['proxy-authorization'];
    proxy.asked.push({ target, credentials });
    const known = proxy.wanted?.map((one) => `Basic ${btoa(one)}`);
    const wrong = known !== undefined && !known.includes(credentials ?? '');
    const port = proxy.routes.get(target);
    const { status, headers: more = '' } =
      proxy.refuse ??
      (wrong ? { status: 407, headers: 'proxy-authenticate: Basic realm="corp"\r\n' } : { status: 502 });
    if (proxy.refuse || wrong || port === undefined) {
      client.end(`HTTP/1.1 ${status} No\r\n${more}content-length: 0\r\n\r\n`);
      return;
    }
    const onward = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(client).pipe(onward);
    });
    keep(onward);
    onward.once('close', () => client.destroy());
    client.once('close', () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: ConnectProxy = {
    port,
    url: `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`,
    asked: [],
    routes: new Map(),
    refuse: undefined,
    wanted: undefined,
    cut,
    stop() {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
