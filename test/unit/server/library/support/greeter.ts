import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import express from 'express';
import { type Gate, identityOf } from '../../../../../src/server/library/index.ts';

/** What the greeter's tool was handed by the SDK, as JSON. */
export type Handed = string[];

/** An MCP server on the SDK, as its documentation has it: with sessions, and without a thought of whose they are. */
async function connectGreeter(transport: object, handed: Handed): Promise<void> {
  const server = new McpServer({ name: 'greeter', version: '1.0.0' });
  server.registerTool('greet', { description: 'Greets' }, (extra) => {
    handed.push(JSON.stringify([extra.authInfo, extra.requestInfo]));
    return { content: [{ type: 'text', text: `Hello, ${identityOf(extra.authInfo).subject}!` }] };
  });
  await server.connect(transport as Transport);
}

/** Streamable HTTP with sessions. */
export function streamableGreeter(gate: Gate, handed: Handed): RequestListener {
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await connectGreeter(transport, handed);
    return transport;
  };
  return gate.node(async (req, res) => {
    const id = req.headers['mcp-session-id'];
    const transport = id === undefined ? await open() : transports.get(String(id));
    if (transport) await transport.handleRequest(req, res);
    else res.writeHead(410).end();
  });
}

/** The same as a fetch handler. */
export function fetchGreeter(gate: Gate, handed: Handed): RequestListener {
  const transports = new Map<string, WebStandardStreamableHTTPServerTransport>();
  const open = async () => {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await connectGreeter(transport, handed);
    return transport;
  };
  const handle = gate.fetch(async (request, { authInfo }) => {
    const id = request.headers.get('mcp-session-id');
    const transport = id === null ? await open() : transports.get(id);
    return transport ? transport.handleRequest(request, { authInfo }) : new Response(null, { status: 410 });
  });
  return getRequestListener(handle);
}

/** HTTP+SSE, in Express with its richest parser of queries. */
export function sseGreeter(gate: Gate, handed: Handed): RequestListener {
  const transports: Record<string, SSEServerTransport> = {};
  const app = express();
  app.set('query parser', 'extended');
  app.use(gate.middleware);
  app.get('/sse', async (_req, res) => {
    const transport = new SSEServerTransport('/messages', res);
    transports[transport.sessionId] = transport;
    await connectGreeter(transport, handed);
  });
  app.post('/messages', async (req, res) => {
    const transport = transports[req.query.sessionId as string];
    if (transport) await transport.handlePostMessage(req, res);
    else res.sendStatus(410);
  });
  return app;
}
