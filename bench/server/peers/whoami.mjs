// What the peers have in common: the whoami tool on the official SDK, and both of its transports on express.
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

/** A server for each connection: the SDK does not let two share one. */
async function connect(transport) {
  const server = new McpServer({ name: 'WhoAmI', version: '0.0.0' });
  const about = { description: 'Get the current user information' };
  server.registerTool('whoami', about, ({ authInfo }) => {
    const claims = authInfo?.claims ?? { error: 'Not authenticated' };
    return { content: [{ type: 'text', text: JSON.stringify(claims) }] };
  });
  await server.connect(transport);
}

export function mount(app) {
  const streams = new Map();
  app.get('/sse', async (_req, res) => {
    const transport = new SSEServerTransport('/messages', res);
    streams.set(transport.sessionId, transport);
    res.on('close', () => streams.delete(transport.sessionId));
    await connect(transport);
  });
  app.post('/messages', async (req, res) => {
    const transport = streams.get(String(req.query.sessionId));
    if (transport) await transport.handlePostMessage(req, res);
    else res.status(400).send('No transport found for sessionId');
  });

  const sessions = new Map();
  app.all('/mcp', async (req, res) => {
    let transport = sessions.get(req.headers['mcp-session-id']);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => void sessions.set(id, transport),
      });
      await connect(transport);
    }
    await transport.handleRequest(req, res);
  });
}
