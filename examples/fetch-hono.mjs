// An MCP server of the SDK as a fetch handler (Hono; Bun and Deno take the same), protected. Every request stands
// for itself: there are no sessions, and any replica can answer.
import { serve } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js';
import { Hono } from 'hono';
import { createGate, identityOf } from 'mcp-whoami/server';

const port = Number(process.env.PORT ?? 3000);
const gate = createGate({
  resource: `http://localhost:${port}/mcp`,
  issuer: process.env.ISSUER ?? 'http://127.0.0.1:3002/oidc',
});

/** @type {Hono<{ Bindings: import('mcp-whoami/server').Admitted }>} */
const app = new Hono();
app.get('/me', (c) => c.json(c.env.identity.claims));
app.all('/mcp', async (c) => {
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  const server = new McpServer({ name: 'greeter', version: '1.0.0' });
  server.registerTool('greet', { description: 'Greets whoever is calling' }, ({ authInfo }) => {
    const { claims, subject } = identityOf(authInfo);
    return { content: [{ type: 'text', text: `Hello, ${claims.name ?? subject}!` }] };
  });
  await server.connect(transport);
  return transport.handleRequest(c.req.raw, { authInfo: c.env.authInfo });
});

serve({ fetch: gate.fetch(app.fetch), port, hostname: '127.0.0.1' }, () =>
  console.error(`http://localhost:${port}/mcp`),
);
