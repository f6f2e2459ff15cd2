import { openWire } from './wire.mjs';

const rpc = (id, method, params) => JSON.stringify({ jsonrpc: '2.0', id, method, params });
const initialized = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
const introduction = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'bench', version: '1' },
};
const whoami = { name: 'whoami', arguments: {} };

const headersFor = (token) => ({
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  authorization: `Bearer ${token}`,
  'mcp-protocol-version': introduction.protocolVersion,
});

/** An MCP session over Streamable HTTP. `call` resolves with the answer's text. */
async function openHttp(port, token) {
  const wire = openWire(port);
  const headers = headersFor(token);
  let count = 0;
  async function post(body) {
    const { status, head, body: answer } = await wire.send('POST', '/mcp', headers, body);
    if (status >= 300) throw new Error(`POST /mcp: ${status} ${answer}`);
    return { head, answer };
  }
  const { head } = await post(rpc(++count, 'initialize', introduction));
  const session = /\r\nmcp-session-id: *([^\r]*)/i.exec(head)?.[1];
  if (session) headers['mcp-session-id'] = session;
  await post(initialized);
  return {
    call: async () => (await post(rpc(++count, 'tools/call', whoami))).answer,
    close: () => wire.close(),
  };
}

/** An MCP session over HTTP+SSE. In: `posts`, a wire to share; default: one of its own. */
async function openSse(port, token, posts = openWire(port)) {
  const stream = openWire(port);
  const headers = headersFor(token);
  let [text, count] = ['', 0];
  let onEvent;
  const next = () =>
    new Promise((resolve) => {
      onEvent = resolve;
    });
  const endpoint = next();
  const { status } = await stream.send('GET', '/sse', headers, '', (part) => {
    const events = (text + part.replaceAll('\r\n', '\n')).split('\n\n');
    text = events.pop();
    for (const event of events) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1];
      if (data !== undefined) onEvent(data);
    }
  });
  if (status !== 200) throw new Error(`GET /sse: ${status}`);
  const { pathname, search } = new URL(await endpoint, `http://127.0.0.1:${port}`);

  async function post(body) {
    const answer = await posts.send('POST', pathname + search, headers, body);
    if (answer.status >= 300) throw new Error(`POST ${pathname}: ${answer.status} ${answer.body}`);
  }
  async function call(method, params) {
    const answer = next();
    await post(rpc(++count, method, params));
    return answer;
  }
  await call('initialize', introduction);
  await post(initialized);
  return {
    call: () => call('tools/call', whoami),
    close: () => {
      stream.close();
      posts.close();
    },
  };
}

export const openSession = { '/mcp': openHttp, '/sse': openSse };
