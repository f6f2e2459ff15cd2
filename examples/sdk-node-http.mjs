// An MCP server of the SDK on node:http, over HTTP+SSE as older clients speak it, protected.
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { createGate, identityOf } from 'mcp-whoami/server';

const port = Number(process.env.PORT ?? 3000);
const gate = createGate({
  resource: `http://localhost:${port}/sse`,
  issuer: process.env.ISSUER ?? 'http://127.0.0.1:3002/oidc',
  log: ({ level, message, fields }) => console.error(level, message, JSON.stringify(fields)),
});

/** @type {Map<string, SSEServerTransport>} */
const transports = new Map();
const server = createServer(
  gate.node(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '/', `http://localhost:${port}`);
    const transport = transports.get(searchParams.get('sessionId') ?? '');
    if (req.method === 'GET' && pathname === '/sse') await open(res);
    else if (req.method === 'POST' && transport) await transport.handlePostMessage(req, res);
    else res.writeHead(404).end();
  }),
);

/** @param {import('node:http').ServerResponse} res */
async function open(res) {
  const transport = new SSEServerTransport('/messages', res);
  transports.set(transport.sessionId, transport);
  res.on('close', () => transports.delete(transport.sessionId));
  const mcp = new McpServer({ name: 'greeter', version: '1.0.0' });
  mcp.registerTool('greet', { description: 'Greets whoever is calling' }, ({ authInfo }) => {
    const { claims, subject } = identityOf(authInfo);
    return { content: [{ type: 'text', text: `Hello, ${claims.name ?? subject}!` }] };
  });
  await mcp.connect(transport);
}

server.listen(port, '127.0.0.1', () => console.error(`http://localhost:${port}/sse`));
