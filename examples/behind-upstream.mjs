// An MCP server of the SDK that knows nothing of OAuth, behind `mcp-whoami serve --upstream http://127.0.0.1:3000/mcp`.
// The gate tells who is calling in a header that it signs; it is believed for its signature alone.
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const port = Number(process.env.PORT ?? 3000);
const gate = process.env.GATE ?? 'http://localhost:3001';
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', gate));

/** @param {import('node:http').IncomingMessage} req */
async function callerOf(req) {
  const { payload } = await jwtVerify(String(req.headers['x-whoami-identity']), keys, {
    audience: `http://127.0.0.1:${port}/mcp`,
    algorithms: ['ES256'],
  });
  return /** @type {{ sub: string, whoami: Record<string, unknown> }} */ (payload);
}

createServer(async (req, res) => {
  const caller = await callerOf(req).catch(() => undefined);
  if (!caller) return res.writeHead(403).end();
  const transport = new StreamableHTTPServerTransport({});
  const server = new McpServer({ name: 'greeter', version: '1.0.0' });
  server.registerTool('greet', { description: 'Greets whoever is calling' }, () => ({
    content: [{ type: 'text', text: `Hello, ${caller.whoami.name ?? caller.sub}!` }],
  }));
  await server.connect(transport);
  await transport.handleRequest(req, res);
}).listen(port, '127.0.0.1', () => console.error(`http://127.0.0.1:${port}/mcp`));
