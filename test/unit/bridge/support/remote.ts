import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type Json = Record<string, unknown> & {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
};

export interface Received {
  readonly verb: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly json: Json;
}

/** How the server answers one message. */
export interface Reply {
  /** Writes raw text as one message on the way that answers take. */
  raw(text: string): void;
  send(message: object): void;
  result(value: object): void;
  error(code: number, message: string): void;
  /** The answer's own response (Streamable HTTP) or that of the POST (HTTP+SSE): for statuses and half bodies. */
  readonly response: ServerResponse;
  readonly request: IncomingMessage;
}

export type OnMessage = (message: Json, reply: Reply) => void;

export interface FakeRemote {
  readonly url: URL;
  readonly kind: 'http' | 'sse';
  readonly received: Received[];
  /** Messages of one method, as they came. */
  sent(method: string): Received[];
  /** Looks at every request first; true: it has answered. */
  gate: ((request: IncomingMessage, response: ServerResponse, path: string) => boolean) | undefined;
  onMessage: OnMessage;
  /** Says something by itself, on the open stream. */
  say(text: string): void;
  /** Open streams of server messages. */
  readonly streams: Set<ServerResponse>;
  sessions: Set<string>;
  /** Answers by one JSON document instead of an event stream (Streamable HTTP). */
  plainJson: boolean;
  /** Breaks every connection. */
  reset(): void;
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  restart(): Promise<void>;
}

export const greeting = {
  protocolVersion: '2025-06-18',
  capabilities: { tools: { listChanged: true } },
  serverInfo: { name: 'fake', version: '1' },
};
export const tools = [{ name: 'echo', description: 'gives back', inputSchema: { type: 'object' } }];

/** What a plain server does: greets, lists `echo`, echoes. */
export const politely: OnMessage = ({ method, params }, { result, error }) => {
  if (method === 'initialize') result(greeting);
  else if (method === 'tools/list') result({ tools });
  else if (method === 'tools/call')
    result({ content: [{ type: 'text', text: JSON.stringify(params?.arguments ?? {}) }] });
  else error(-32601, 'Method not found');
};

/** A behaviour server: what it does wrong is the test's to say. */
export async function startRemote(
  kind: 'http' | 'sse',
  onMessage: OnMessage = politely,
  port = 0,
): Promise<FakeRemote> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer((request, response) => void serve(request, response));
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const listen = (at: number) => new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve));
  await listen(port);
  const bound = (server.address() as AddressInfo).port;

  const remote: FakeRemote = {
    url: new URL(`http://127.0.0.1:${bound}/${kind === 'sse' ? 'sse' : 'mcp'}`),
    kind,
    received: [],
    sent: (method) => remote.received.filter(({ json }) => json.method === method),
    gate: undefined,
    onMessage,
    say: (text) => {
      for (const stream of remote.streams) stream.write(`data: ${text}\n\n`);
    },
    streams: new Set(),
    sessions: new Set(),
    plainJson: false,
    reset() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      remote.reset();
      await closed;
    },
    restart: () => listen(bound),
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', remote.url);
    let text = '';
    for await (const chunk of request) text += chunk;
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Json;
    remote.received.push({
      verb: request.method ?? '',
      path: url.pathname,
      headers: request.headers,
      text,
      json,
    });
    if (remote.gate?.(request, response, url.pathname)) return;
    if (kind === 'sse') serveSse(request, response, url, json);
    else serveHttp(request, response, url, json);
  }

  function openStream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    remote.streams.add(response);
    request.socket.on('close', () => remote.streams.delete(response));
  }

  const replyBy = (
    json: Json,
    request: IncomingMessage,
    response: ServerResponse,
    raw: (text: string) => void,
  ): Reply => {
    const send = (message: object) => raw(JSON.stringify(message));
    return {
      raw,
      send,
      request,
      response,
      result: (result) => send({ jsonrpc: '2.0', id: json.id, result }),
      error: (code, message) => send({ jsonrpc: '2.0', id: json.id, error: { code, message } }),
    };
  };

  function serveSse(request: IncomingMessage, response: ServerResponse, url: URL, json: Json): void {
    if (request.method === 'GET' && url.pathname === '/sse') {
      count++;
      const session = `s${count}`;
      openStream(request, response);
      remote.sessions.add(session);
      response.write(`event: endpoint\ndata: /messages?session=${session}\n\n`);
      return;
    }
    if (request.method !== 'POST' || url.pathname !== '/messages') return void response.writeHead(404).end();
    if (!remote.sessions.has(url.searchParams.get('session') ?? ''))
      return void response.writeHead(404).end();
    const reply = replyBy(json, request, response, (text) => remote.say(text));
    if (json.method !== undefined && json.id !== undefined) remote.onMessage(json, reply);
    if (!response.headersSent) response.writeHead(202).end();
  }

  function serveHttp(request: IncomingMessage, response: ServerResponse, url: URL, json: Json): void {
    const given = request.headers['mcp-session-id'] as string | undefined;
    if (url.pathname !== '/mcp') return void response.writeHead(404).end();
    if (given !== undefined && !remote.sessions.has(given)) return void response.writeHead(404).end();
    if (request.method === 'GET') {
      openStream(request, response);
      return;
    }
    if (request.method === 'DELETE') return void response.writeHead(200).end();
    if (json.method === undefined || json.id === undefined) return void response.writeHead(202).end();
    const headers: Record<string, string> = {};
    if (json.method === 'initialize') {
      count++;
      remote.sessions.add(`s${count}`);
      headers['mcp-session-id'] = `s${count}`;
    }
    const raw = (text: string) => {
      if (response.destroyed) return;
      const type = remote.plainJson ? 'application/json' : 'text/event-stream';
      if (!response.headersSent) response.writeHead(200, { ...headers, 'content-type': type });
      response.write(remote.plainJson ? text : `event: message\ndata: ${text}\n\n`);
      if (answers(text, json.id)) response.end();
    };
    remote.onMessage(json, replyBy(json, request, response, raw));
  }

  return remote;
}

function answers(text: string, id: unknown): boolean {
  try {
    const json = JSON.parse(text) as Json;
    return json.method === undefined && json.id === id;
  } catch {
    return false;
  }
}
