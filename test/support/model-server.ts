import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createPerformer } from './fault-performer.ts';
import type { Asked } from './fault-tools.ts';

/** What the server answers instead of what it should; `true`: the handler has answered. */
export type Gate = (request: IncomingMessage, response: ServerResponse, asked: Asked | undefined) => boolean;

export interface ModelOptions {
  readonly port?: number;
  /** Comments on every open stream, so often. Milliseconds; 0: never. */
  readonly heartbeatMs?: number;
  /** Called with each effect, before it is answered. */
  readonly effect?: (n: number) => void;
  /** Streamable HTTP answers as JSON rather than as an event stream. */
  readonly json?: boolean;
  /** How long an idle connection is kept. Milliseconds; default: Node's 5 s. */
  readonly keepAliveMs?: number;
}

export interface Seen {
  readonly verb: string;
  readonly path: string;
  readonly session: string | undefined;
  readonly authorization: string | undefined;
  readonly asked: Asked | undefined;
}

/** An MCP server whose faults are ordered: by the arguments of a call, or by the members here. */
export interface Model {
  readonly port: number;
  readonly sse: string;
  readonly mcp: string;
  /** How often each number has had its effect. */
  readonly effects: Map<number, number>;
  readonly seen: Seen[];
  count(method: string): number;
  gate: Gate | undefined;
  /** Closes each HTTP+SSE stream behind its `endpoint` event. */
  closeAfterEndpoint: boolean;
  readonly sessions: Set<string>;
  readonly streams: Set<ServerResponse>;
  heartbeatMs: number;
  /** Says something on every open stream. */
  say(text: string): void;
  /** Breaks every connection. */
  reset(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts the model server on a loopback port: HTTP+SSE at /sse, Streamable HTTP at /mcp. */
export async function startModel(options: ModelOptions = {}): Promise<Model> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((request, response) => void serve(request, response));
  server.keepAliveTimeout = options.keepAliveMs ?? 5_000;
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  let bound = options.port ?? 0;
  const start = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(bound, '127.0.0.1', () => {
        server.off('error', reject);
        bound = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  await start();

  const model: Model = {
    port: bound,
    sse: `http://127.0.0.1:${bound}/sse`,
    mcp: `http://127.0.0.1:${bound}/mcp`,
    effects: new Map(),
    seen: [],
    count: (method) => model.seen.filter(({ asked }) => asked?.method === method).length,
    gate: undefined,
    closeAfterEndpoint: false,
    sessions: new Set(),
    streams: new Set(),
    heartbeatMs: options.heartbeatMs ?? 0,
    say(text) {
      for (const stream of model.streams) stream.write(`event: message\ndata: ${text}\n\n`);
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      model.reset();
      await closed;
    },
    start,
  };

  const perform = createPerformer(model.effects, options.effect);
  const streamOf = new Map<string, ServerResponse>();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', model.mcp);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // Cut off on the way here: never happened.
      return;
    }
    const text = Buffer.concat(chunks).toString();
    const asked = text.startsWith('{') ? (JSON.parse(text) as Asked) : undefined;
    const header = request.headers['mcp-session-id'];
    const session = url.searchParams.get('session') ?? (typeof header === 'string' ? header : undefined);
    const { authorization } = request.headers;
    if (model.seen.length < 10_000) {
      model.seen.push({ verb: request.method ?? '', path: url.pathname, session, authorization, asked });
    }
    if (model.gate?.(request, response, asked)) return;
    if (url.pathname === '/sse') return openStream(response, newSession());
    if (session !== undefined && !model.sessions.has(session)) return void response.writeHead(404).end();
    if (url.pathname === '/messages') return post(response, asked, session);
    if (url.pathname !== '/mcp') return void response.writeHead(404).end();
    if (request.method === 'GET') return openStream(response, undefined);
    if (request.method === 'DELETE') {
      model.sessions.delete(session ?? '');
      return void response.writeHead(200).end();
    }
    answerHere(response, asked);
  }

  function newSession(): string {
    count++;
    // Two lives of one server never give out the same name.
    const name = `s${process.pid}-${Math.random().toString(36).slice(2)}-${count}`;
    model.sessions.add(name);
    return name;
  }

  function openStream(response: ServerResponse, session: string | undefined): void {
    beginStream(response, {});
    model.streams.add(response);
    response.on('close', () => model.streams.delete(response));
    if (session === undefined) return;
    response.write(`event: endpoint\ndata: /messages?session=${session}\n\n`);
    streamOf.set(session, response);
    response.on('close', () => streamOf.delete(session));
    if (model.closeAfterEndpoint) response.end();
  }

  function beginStream(response: ServerResponse, headers: Record<string, string>): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers }).flushHeaders();
    if (model.heartbeatMs === 0) return;
    const timer = setInterval(() => response.write(': alive\n\n'), model.heartbeatMs);
    response.on('close', () => clearInterval(timer));
  }

  /** HTTP+SSE: taken here, answered on the stream. */
  function post(response: ServerResponse, asked: Asked | undefined, session: string | undefined): void {
    const stream = streamOf.get(session ?? '');
    if (!stream) return void response.writeHead(404).end();
    response.writeHead(202).end();
    if (asked?.method === undefined || asked.id === undefined) return;
    perform(asked, {
      write: (text) => void stream.write(`event: message\ndata: ${text}\n\n`),
      half: (text) => void stream.end(text),
      done: () => {},
    });
  }

  /** Streamable HTTP: answered by the response of the POST. */
  function answerHere(response: ServerResponse, asked: Asked | undefined): void {
    if (asked?.method === undefined || asked.id === undefined) return void response.writeHead(202).end();
    const headers: Record<string, string> =
      asked.method === 'initialize' ? { 'mcp-session-id': newSession() } : {};
    if (options.json) {
      return void perform(asked, {
        write(text) {
          const isAnswer = text.includes(`"id":${JSON.stringify(asked.id)},`);
          if (!isAnswer || response.headersSent) return;
          response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
        },
        half: () => void response.destroy(),
        done: () => void (response.headersSent || response.destroy()),
      });
    }
    beginStream(response, headers);
    perform(asked, {
      write: (text) => void response.write(`event: message\ndata: ${text}\n\n`),
      half: (text) => void response.end(text),
      done: () => void response.end(),
    });
  }

  return model;
}
