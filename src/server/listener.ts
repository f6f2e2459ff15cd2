import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { listenError } from '../lib/ports.ts';
import type { ServerCertificate } from '../lib/settings.ts';

/** Times in milliseconds. */
const limits = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 15_000,
  requestTimeout: 30_000,
  /** Longer than balancers keep theirs, so that they never send on a connection that we close. */
  keepAliveTimeout: 75_000,
  connectionsCheckingInterval: 5_000,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
} as const;
/** RFC 9325 3.1.1: nothing older than TLS 1.2. */
const tlsLimits = { minVersion: 'TLSv1.2', handshakeTimeout: 10_000 } as const;
const drainLimit = 10_000;
const flushLimit = 1_000;

export interface Listener {
  readonly port: number;
  /** Requests that are being answered; a stream is none once it is open. */
  inFlight(): number;
  /** New connections are proven with this one. Where TLS is spoken already. */
  prove(certificate: ServerCertificate): void;
  /** More or fewer connections may come from now on. */
  limit(maxConnections: number): void;
  /** Stops accepting and waits for the requests being handled, for at most 10 s. */
  finish(): Promise<void>;
  /** Waits for what is still to be sent, for at most 1 s, then closes every connection. */
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxConnections: number;
  /** Given: TLS is spoken, and nothing else. */
  readonly certificate?: ServerCertificate | undefined;
  /** Handles one request; settles when its answer is on the way, a stream's when it is open. */
  readonly handle: (req: IncomingMessage, res: ServerResponse) => Promise<void>;
}

/** Listens with every size and time bounded. Throws AppError `port_taken`. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const running = new Set<ServerResponse>();
  let idle = () => {};
  // Connections that have carried nothing yet: Node does not count them as idle.
  const unused = new Set<Socket>();
  // Those that are still shaking hands are known to nobody else.
  const connections = new Set<Socket>();
  const handle: RequestListener = (req, res) => {
    unused.delete(req.socket);
    running.add(res);
    void options.handle(req, res).finally(() => {
      running.delete(res);
      if (running.size === 0) idle();
    });
  };
  const { certificate } = options;
  const secure = certificate && createSecureServer({ ...limits, ...tlsLimits, ...material(certificate) });
  const server: Server = secure?.on('request', handle) ?? createPlainServer(limits, handle);
  // The body is asked for once the gate has let the request pass.
  server.on('checkContinue', handle);
  server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', forgetSocket);
  });
  secure?.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', forgetSocket);
  });
  function forgetSocket(this: Socket): void {
    unused.delete(this);
    connections.delete(this);
  }
  server.maxConnections = options.maxConnections;
  await listen(server, options);
  const stopped = new Promise<void>((resolve) => server.once('close', resolve));
  let accepting = true;
  const stopAccepting = () => {
    if (accepting) server.close();
    accepting = false;
    for (const res of running) res.shouldKeepAlive = false;
  };

  return {
    port: (server.address() as AddressInfo).port,
    inFlight: () => running.size,
    limit(maxConnections) {
      server.maxConnections = maxConnections;
    },
    prove: (next) => secure?.setSecureContext({ ...tlsLimits, ...material(next) }),
    async finish() {
      stopAccepting();
      if (running.size === 0) return;
      const done = new Promise<void>((resolve) => {
        idle = resolve;
      });
      await Promise.race([done, after(drainLimit)]);
    },
    async close() {
      stopAccepting();
      // A connection becomes idle once its answer is flushed; nobody tells, so it is looked for.
      const closeIdle = () => {
        for (const socket of unused) if (socket.bytesRead === 0) socket.destroy();
        server.closeIdleConnections();
      };
      const sweep = setInterval(closeIdle, 10);
      closeIdle();
      await Promise.race([stopped, after(flushLimit)]);
      clearInterval(sweep);
      server.closeAllConnections();
      for (const socket of connections) socket.destroy();
      await stopped;
    },
  };
}

const material = ({ cert, key }: ServerCertificate) => ({ cert, key: key.reveal() });

function listen(server: Server, { host, port }: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays for good: an accept that fails later (no file descriptors left) must not end the process.
    server.on('error', (error) => reject(listenError(error, host, port, '--port')));
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port, exclusive: true, backlog: 1024 }, resolve);
  });
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
