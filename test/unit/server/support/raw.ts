import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; a repeated header is joined with a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  json(): Record<string, unknown>;
}

type HeaderList = readonly (readonly [string, string])[];

/** Writes a request as told, byte for byte, and reads one whole answer. */
export function exchange(
  port: number,
  method: string,
  path: string,
  headers: HeaderList,
  body = '',
  timeoutMs = 5_000,
): Promise<RawAnswer> {
  const named = new Set(headers.map(([name]) => name.toLowerCase()));
  const all: [string, string][] = [...headers].map(([name, value]) => [name, value]);
  if (!named.has('host')) all.unshift(['Host', `127.0.0.1:${port}`]);
  if (body && !named.has('content-length') && !named.has('transfer-encoding')) {
    all.push(['Content-Length', String(Buffer.byteLength(body))]);
  }
  const head = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return sendRaw(port, `${method} ${path} HTTP/1.1\r\n${head}\r\n${body}`, method === 'HEAD', timeoutMs);
}

/** Sends text over a new connection and reads one whole answer. */
export function sendRaw(
  port: number,
  text: string,
  withoutBody = false,
  timeoutMs = 5_000,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const timer = setTimeout(() => fail(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    let received = Buffer.alloc(0);
    const settle = () => {
      clearTimeout(timer);
      socket.destroy();
    };
    const fail = (error: Error) => {
      settle();
      reject(error);
    };
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = parse(received.toString('latin1'), withoutBody);
      if (!answer) return;
      settle();
      resolve(answer);
    });
    socket.on('error', (error) => {
      // A cut connection may follow the answer.
      if (received.length === 0) fail(error);
    });
    socket.on('close', () => fail(new Error(`connection closed after ${received.length} bytes`)));
    socket.write(text);
  });
}

function parse(text: string, withoutBody: boolean): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const lines = text.slice(0, end).split('\r\n');
  const status = Number(lines[0]?.split(' ')[1]);
  if (status === 100) return parse(text.slice(end + 4), withoutBody);
  const headers: Record<string, string> = {};
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  const rest = text.slice(end + 4);
  let body: string | undefined;
  if (withoutBody || status === 204) body = '';
  else if (headers['content-length'] !== undefined) {
    const length = Number(headers['content-length']);
    body = rest.length >= length ? rest.slice(0, length) : undefined;
  } else if (headers['transfer-encoding'] === 'chunked') body = dechunk(rest);
  else body = rest;
  if (body === undefined) return undefined;
  const utf8 = Buffer.from(body, 'latin1').toString('utf8');
  return { status, headers, body: utf8, json: () => JSON.parse(utf8) as Record<string, unknown> };
}

function dechunk(text: string): string | undefined {
  let rest = text;
  let body = '';
  for (;;) {
    const end = rest.indexOf('\r\n');
    if (end < 0) return undefined;
    const size = Number.parseInt(rest.slice(0, end), 16);
    if (size === 0) return body;
    if (rest.length < end + 2 + size + 2) return undefined;
    body += rest.slice(end + 2, end + 2 + size);
    rest = rest.slice(end + 2 + size + 2);
  }
}

/** An open `GET /sse`, with everything it has said so far. */
export interface RawStream {
  readonly socket: Socket;
  /** Path and query of the `endpoint` event. */
  readonly endpoint: string;
  readonly head: string;
  text(): string;
  closed(): boolean;
  close(): void;
}

export function openStream(port: number, headers: Record<string, string>, path = '/sse'): Promise<RawStream> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    let closed = false;
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no stream: ${text}`));
    }, 5_000);
    const head = Object.entries({ Host: `127.0.0.1:${port}`, Accept: 'text/event-stream', ...headers });
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      const endpoint = /event: endpoint\ndata: (.+)\n\n/.exec(text)?.[1];
      const refused = /^HTTP\/1\.1 [345]\d\d[\s\S]*?\r\n\r\n/.test(text);
      if (!endpoint && !refused) return;
      clearTimeout(timer);
      if (endpoint) {
        resolve({
          socket,
          endpoint,
          head: text.slice(0, text.indexOf('\r\n\r\n')),
          text: () => text,
          closed: () => closed,
          close: () => socket.destroy(),
        });
      } else {
        reject(new Error(text.slice(0, 200)));
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
    });
    socket.write(`GET ${path} HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
  });
}
