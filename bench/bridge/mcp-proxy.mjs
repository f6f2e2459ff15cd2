// mcp-proxy has no command for this direction; this is its exported function: node mcp-proxy.mjs PACKAGE URL TOKEN
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, url, token] = process.argv.slice(2);
const { ServerType, startStdioServer } = await import(pathToFileURL(join(folder, 'dist/index.mjs')).href);
await startStdioServer({
  serverType: url.endsWith('/sse') ? ServerType.SSE : ServerType.HTTPStream,
  url,
  transportOptions: { requestInit: { headers: { Authorization: `Bearer ${token}` } } },
});
