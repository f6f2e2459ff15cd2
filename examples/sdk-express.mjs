// An MCP server of the SDK behind Express, protected. Its sessions belong to whoever opened them.
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { createGate, identityOf } from 'mcp-whoami/server';

const port = Number(process.env.PORT ?? 3000);
const gate = createGate({
  resource: `http://localhost:${port}/mcp`,
  issuer: process.env.ISSUER ?? 'http://127.0.0.1:3002/oidc',
});

const app = express();
app.get('/health', (_req, res) => res.sendStatus(gate.isReady() ? 200 : 503)); // before the gate: for everybody
app.use(gate.middleware);
app.use(express.json());

/** @type {Map<string, StreamableHTTPServerTransport>} */
const transports = new Map();
app.all('/mcp', async (req, res) => {
  const id = req.get('mcp-session-id');
  const transport = id === undefined ? await open() : transports.get(id);
  if (transport) await transport.handleRequest(req, res, req.body);
  else res.sendStatus(404);
});

async function open() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void transports.set(id, transport),
    onsessionclosed: (id) => void transports.delete(id),
  });
  const server = new McpServer({ name: 'greeter', version: '1.0.0' });
  server.registerTool('greet', { description: 'Greets whoever is calling' }, ({ authInfo }) => {
    const { claims, subject } = identityOf(authInfo);
    return { content: [{ type: 'text', text: `Hello, ${claims.name ?? subject}!` }] };
  });
  await server.connect(transport);
  return transport;
}

app.listen(port, '127.0.0.1', () => console.error(`http://localhost:${port}/mcp`));
