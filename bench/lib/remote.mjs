import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const tool = (name, description) => ({ name, description, inputSchema: { type: 'object' } });
const tools = [
  tool('whoami', 'Who the caller is'),
  tool('slow', 'Answers after `ms` milliseconds'),
  tool('write', 'A tool for which a gate may want more'),
];

/**
 * An MCP server on loopback that costs next to nothing: HTTP+SSE at /sse and /messages, Streamable HTTP with
 * sessions at /mcp, answered by an event stream as the official SDK does.
 *
 * In: `port` (0: a free one); `gate({ token, tool, path })`, which gives undefined to let a request in, else
 * `{ status, challenge }`; `documents`, JSON by path, open to everybody.
 * Out: `origin`, `port`, `seen` (how often what came), `sessions`, `close`.
 */
export async function openRemote({ port = 0, gate = () => undefined, documents = {} } = {}) {
  const streams = new Map();
  const sessions = { opened: 0, deleted: 0, live: new Set() };
  const seen = {};
  const count = (what) => {
    seen[what] = (seen[what] ?? 0) + 1;
  };

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://localhost');
    const path = url.pathname;
    if (path === '/stats') return json(res, 200, { seen, opened: sessions.opened });
    const document = documents[path];
    if (document) {
      count(`GET ${path}`);
      return json(res, 200, document);
    }
    const message = req.method === 'POST' ? await bodyOf(req) : undefined;
    const rpc = path === '/mcp' || path === '/messages' ? message?.method : undefined;
    count(`${req.method} ${rpc ?? path}`);
    if (!['/mcp', '/sse', '/messages'].includes(path)) return json(res, 404, {});
    const token = /^Bearer (.+)$/i.exec(req.headers.authorization ?? '')?.[1];
    const refused = gate({ token, tool: message?.params?.name, path: path === '/mcp' ? '/mcp' : '/sse' });
    if (refused) return json(res, refused.status, {}, { 'www-authenticate': refused.challenge });
    if (path === '/sse') return openStream(res);
    if (path === '/messages') return takeForStream(url.searchParams.get('session'), message, res);
    return overHttp(req, res, message);
  });

  function openStream(res) {
    const id = randomUUID();
    sessions.opened++;
    streams.set(id, res);
    res.on('close', () => streams.delete(id));
    eventStream(res);
    res.write(`event: endpoint\ndata: /messages?session=${id}\n\n`);
  }

  function takeForStream(id, message, res) {
    const stream = streams.get(id);
    if (!stream) return json(res, 404, { error: 'no such session' });
    res.writeHead(202).end();
    answer(message, stream, (text) => stream.write(text));
  }

  function overHttp(req, res, message) {
    let id = req.headers['mcp-session-id'];
    if (message?.method === 'initialize') {
      id = randomUUID();
      sessions.opened++;
      sessions.live.add(id);
    }
    if (!sessions.live.has(id)) return json(res, id ? 404 : 400, { error: 'no such session' });
    if (req.method === 'DELETE') {
      sessions.deleted++;
      sessions.live.delete(id);
      return void res.writeHead(200).end();
    }
    if (req.method === 'GET') return eventStream(res);
    if (message?.id === undefined || message.method === undefined) return void res.writeHead(202).end();
    eventStream(res, { 'mcp-session-id': id });
    answer(message, res, (text) => res.end(text));
  }

  function answer(message, stream, write) {
    if (message?.id === undefined) return;
    const give = () => write(`event: message\ndata: ${JSON.stringify(reply(message))}\n\n`);
    const ms = message.params?.name === 'slow' ? (message.params.arguments?.ms ?? 1_000) : 0;
    if (ms === 0) return give();
    const timer = setTimeout(give, ms);
    stream.on('close', () => clearTimeout(timer));
  }

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = server.address().port;
  return {
    port: bound,
    origin: `http://127.0.0.1:${bound}`,
    seen,
    sessions,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply({ id, method, params }) {
  const result = (value) => ({ jsonrpc: '2.0', id, result: value });
  if (method === 'initialize') {
    const serverInfo = { name: 'bench', version: '1' };
    return result({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo });
  }
  if (method === 'ping') return result({});
  if (method === 'tools/list') return result({ tools });
  if (method === 'tools/call') return result({ content: [{ type: 'text', text: '{"sub":"user-1"}' }] });
  return { jsonrpc: '2.0', id, error: { code: -32601, message: `no ${method} here` } };
}

function eventStream(res, headers = {}) {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers });
  res.flushHeaders();
}

function json(res, status, body, headers = {}) {
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

async function bodyOf(req) {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) text += chunk;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
