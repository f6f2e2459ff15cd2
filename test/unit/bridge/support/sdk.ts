import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  type ClientCapabilities,
  type JSONRPCMessage,
  ListRootsResultSchema,
} from '@modelcontextprotocol/sdk/types.js';

export interface SdkServer {
  readonly url: URL;
  /** The server of the last session. */
  readonly last: () => McpServer;
  readonly cancelled: () => number;
  stop(): Promise<void>;
}

/** A server as the official SDK makes it, over one of its two transports. */
export async function startSdkServer(kind: 'http' | 'sse'): Promise<SdkServer> {
  const transports = new Map<string, StreamableHTTPServerTransport | SSEServerTransport>();
  let last: McpServer | undefined;
  let cancelled = 0;

  const make = (): McpServer => {
    const server = new McpServer({ name: 'sdk', version: '1' }, { capabilities: { logging: {} } });
    server.registerTool('progress', { description: 'reports' }, async ({ _meta, sendNotification }) => {
      for (const progress of [1, 2, 3]) {
        const progressToken = _meta?.progressToken ?? 0;
        await sendNotification({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 3 },
        });
        // The SDK's client forgets its listener with the answer, before it has read what came just ahead of it.
        await server.server.ping();
      }
      return { content: [{ type: 'text', text: 'done' }] };
    });
    server.registerTool('ask', { description: 'asks the client' }, async ({ sendRequest }) => {
      const sampled = await server.server.createMessage({ maxTokens: 5, messages: [] });
      const elicited = await server.server.elicitInput({
        message: 'name?',
        requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
      });
      const { roots } = await sendRequest({ method: 'roots/list' }, ListRootsResultSchema);
      return { content: [{ type: 'text', text: JSON.stringify({ model: sampled.model, elicited, roots }) }] };
    });
    server.registerTool('wait', { description: 'until cancelled' }, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      cancelled++;
      return { content: [] };
    });
    server.registerResource('note', 'note://one', {}, async () => ({
      contents: [{ uri: 'note://one', text: 'hi' }],
    }));
    last = server;
    return server;
  };

  const http = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://x');
    const id =
      (request.headers['mcp-session-id'] as string | undefined) ?? url.searchParams.get('sessionId') ?? '';
    const known = transports.get(id);
    if (kind === 'sse' && request.method === 'GET') {
      const transport = new SSEServerTransport('/messages', response);
      transports.set(transport.sessionId, transport);
      return make().connect(transport as Transport);
    }
    if (known instanceof SSEServerTransport) return known.handlePostMessage(request, response);
    if (known) return known.handleRequest(request, response);
    if (kind === 'sse' || id !== '') return void response.writeHead(404).end();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void transports.set(session, transport),
    });
    await make().connect(transport as Transport);
    return transport.handleRequest(request, response, await bodyOf(request));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}/${kind === 'sse' ? 'sse' : 'mcp'}`),
    last: () => last as McpServer,
    cancelled: () => cancelled,
    async stop() {
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text === '' ? undefined : JSON.parse(text);
}

/** The two ends of standard input and output, and the SDK's client at the far one. */
export function createSdkClient(capabilities: ClientCapabilities) {
  const input = new PassThrough();
  const output = new PassThrough();
  const transport: Transport = {
    async start() {
      let rest = '';
      output.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) transport.onmessage?.(JSON.parse(line) as JSONRPCMessage);
      });
    },
    async send(message) {
      input.write(`${JSON.stringify(message)}\n`);
    },
    async close() {
      input.end();
      transport.onclose?.();
    },
  };
  return {
    input,
    output,
    transport,
    client: new Client({ name: 'sdk-client', version: '1' }, { capabilities }),
  };
}
