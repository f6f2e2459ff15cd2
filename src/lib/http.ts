import http from 'node:http';
import https from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { isConnecting, neverConnected, whileConnecting } from './connecting.ts';
import { AppError } from './errors.ts';
import type { ProxyFor } from './proxy.ts';
import { trusting } from './trust.ts';
import { createTunnelAgent } from './tunnel.ts';

/** The sizes and times that bound every exchange (security budgets). Bytes and milliseconds. */
export const budgets = {
  /** Metadata, registration and token answers, read by us as a client. */
  clientBody: 1024 * 1024,
  clientHeadersMs: 5_000,
  clientTotalMs: 10_000,
  /** Userinfo, introspection and key answers, read by us as a protected resource. */
  providerBody: 256 * 1024,
  providerTotalMs: 3_000,
} as const;

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Time until the answer's headers are there. 0: no limit. Default 5 s. */
  readonly headersTimeoutMs?: number;
  /** Resolves the host's name for this request instead of the client's own `lookup`: a guard of its target. */
  readonly lookup?: LookupFunction | undefined;
  /** Told how to break the exchange off, until its answer is read: `signal` without its cost for each call. */
  readonly started?: ((end: (reason: Error) => void) => void) | undefined;
  /** Told which connection carries it, and whether an earlier request left it behind. */
  readonly connected?: ((socket: Socket, reused: boolean) => void) | undefined;
}

export interface ReadOptions extends RequestOptions {
  /** Largest answer accepted. Default 1 MiB. */
  readonly maxBytes?: number;
  /** Time for the whole exchange. Default 10 s. */
  readonly totalTimeoutMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Our one way out to the network. It follows no redirect, decodes no content coding and never waits without
 * an end, so that the budgets hold for whatever the other side sends.
 */
export interface HttpClient {
  /** Sends the request; resolves when the answer's headers are there. The caller reads or destroys the stream. */
  open(url: URL, options?: RequestOptions): Promise<http.IncomingMessage>;
  /** Sends the request and reads the whole answer as UTF-8. Throws AppError `too_large` or `timeout`. */
  read(url: URL, options?: ReadOptions): Promise<Answer>;
  /** Another client with connections of its own, which are closed with this one's. */
  fork(more?: Pick<HttpClientOptions, 'maxSockets' | 'keepUntilClosed' | 'authorities'>): HttpClient;
  /** Trusts what this client trusts, for TLS that is not HTTP; `undefined`: what Node trusts. */
  readonly secureContext?: SecureContext | undefined;
  /** Closes the idle connections: what is sent from now on goes by new ones. */
  retire(): void;
  /** Closes all connections. */
  close(): void;
}

export interface HttpClientOptions {
  readonly userAgent: string;
  /** Certificate authorities to trust beside those that Node trusts, as PEM texts. */
  readonly authorities?: readonly string[] | undefined;
  readonly lookup?: LookupFunction | undefined;
  /** Most connections to one origin. Default 256. */
  readonly maxSockets?: number;
  /** The proxy that a request takes; it resolves the server's name itself, so that `lookup` is not asked. */
  readonly proxy?: ProxyFor | undefined;
  /** Idle connections are kept until the server closes them, whatever it announced. */
  readonly keepUntilClosed?: boolean;
  /**
   * How long an idle connection is kept else. Milliseconds; default 4 s: less than most servers keep theirs, and
   * less than it takes a network (NAT, VPN, sleep) to forget one without a word.
   */
  readonly idleMs?: number;
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const agentOptions = {
    keepAlive: true,
    maxSockets: options.maxSockets ?? 256,
    scheduling: 'lifo',
    // Ends idle connections only: one that carries a request is told of the silence, and nobody listens.
    ...(options.keepUntilClosed ? {} : { timeout: options.idleMs ?? 4_000 }),
  } as const;
  const { authorities = [] } = options;
  const trust = authorities.length > 0 ? { secureContext: trusting(authorities) } : {};
  const plain = new http.Agent(agentOptions);
  const secure = new https.Agent({ ...agentOptions, ...trust });
  const tunnels = new Map<string, https.Agent>();
  const forks = new Set<HttpClient>();
  const agents = () => [plain, secure, ...tunnels.values()];
  if (options.keepUntilClosed) for (const agent of [plain, secure]) Object.assign(agent, { keepSocketAlive });

  function open(url: URL, request: RequestOptions = {}): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | number> = {
        'user-agent': options.userAgent,
        'accept-encoding': 'identity',
        ...request.headers,
      };
      if (request.body !== undefined) headers['content-length'] = Buffer.byteLength(request.body);
      const tls = url.protocol === 'https:';
      const lookup = request.lookup ?? options.lookup;
      const proxy = options.proxy?.(url);
      const outgoing = (tls ? https : http).request(url, {
        method: request.method ?? 'GET',
        headers,
        agent: proxy ? tunnelThrough(proxy) : tls ? secure : plain,
        ...(lookup ? { lookup } : {}),
        ...(request.signal ? { signal: request.signal } : {}),
      });
      const limit = request.headersTimeoutMs ?? budgets.clientHeadersMs;
      const breakOff = (reason: Error) => {
        outgoing.destroy(reason);
        // Node says nothing before there is a socket, and a proxy may take its time to lead to one.
        if (!outgoing.socket) reject(reason);
      };
      const timer = limit > 0 ? setTimeout(() => breakOff(timedOut(url, limit, proxy)), limit) : undefined;
      outgoing.once('response', (incoming) => {
        clearTimeout(timer);
        const coding = incoming.headers['content-encoding'];
        if (coding && coding !== 'identity') {
          incoming.destroy();
          reject(
            new AppError(
              'remote_error',
              `${url.origin} answered with content coding ${coding}, not asked for`,
            ),
          );
        } else resolve(incoming);
      });
      // Without a listener Node drops the connection and says nothing: neither an answer nor an error would come.
      outgoing.once('upgrade', (_incoming, socket) => {
        clearTimeout(timer);
        socket.destroy();
        reject(new AppError('remote_error', `${url.origin} changed the protocol, not asked for`));
      });
      outgoing.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      const { connected } = request;
      outgoing.once('socket', (socket) => {
        // A request that is broken off in the moment of its end leaves a connection whose error nobody hears.
        if (!outgoing.reusedSocket) socket.on('error', () => {});
        connected?.(socket, outgoing.reusedSocket);
      });
      request.started?.((reason) => breakOff(isConnecting(outgoing) ? neverConnected(reason) : reason));
      if (proxy && request.signal) whileConnecting(outgoing, request.signal, reject);
      outgoing.end(request.body);
    });
  }

  async function read(url: URL, request: ReadOptions = {}): Promise<Answer> {
    const total = request.totalTimeoutMs ?? budgets.clientTotalMs;
    const maxBytes = request.maxBytes ?? budgets.clientBody;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(timedOut(url, total)), total);
    const forward = () => deadline.abort(request.signal?.reason);
    request.signal?.addEventListener('abort', forward, { once: true });
    if (request.signal?.aborted) forward();
    try {
      const incoming = await open(url, { ...request, signal: deadline.signal });
      const body = await readAll(incoming, maxBytes, url);
      return { status: incoming.statusCode ?? 0, headers: incoming.headers, body };
    } catch (error) {
      if (deadline.signal.aborted && deadline.signal.reason instanceof AppError) throw deadline.signal.reason;
      throw error;
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', forward);
    }
  }

  function tunnelThrough(proxy: URL): https.Agent {
    const known = tunnels.get(proxy.href);
    if (known) return known;
    const tunnel = createTunnelAgent(proxy, { ...agentOptions, ...trust });
    if (options.keepUntilClosed) Object.assign(tunnel, { keepSocketAlive });
    tunnels.set(proxy.href, tunnel);
    return tunnel;
  }

  function fork(more: Parameters<HttpClient['fork']>[0] = {}): HttpClient {
    const child = createHttpClient({ ...options, ...more });
    forks.add(child);
    const close = () => {
      forks.delete(child);
      child.close();
    };
    return { ...child, close };
  }

  const close = () => {
    for (const agent of agents()) agent.destroy();
    for (const child of forks) child.close();
  };
  const retire = () => {
    for (const agent of agents()) {
      for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
    }
  };
  return { open, read, close, retire, fork, secureContext: secure.options.secureContext };
}

function keepSocketAlive(socket: Socket): boolean {
  socket.setKeepAlive(true, 1_000);
  socket.unref();
  return true;
}

/** Reads a stream of at most `maxBytes`; a longer one is cut off at the socket. */
export async function readAll(incoming: http.IncomingMessage, maxBytes: number, url: URL): Promise<string> {
  const tooLarge = () => {
    incoming.destroy();
    return new AppError('too_large', `${url.origin} answered more than ${maxBytes} bytes`);
  };
  if (Number(incoming.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function timedOut(url: URL, ms: number, proxy?: URL): AppError {
  const way = proxy ? ` through the proxy ${proxy.host}` : '';
  return new AppError('timeout', `${url.origin} did not answer${way} within ${ms / 1000} s`);
}
