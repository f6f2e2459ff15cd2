import { AppError } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import { claimsOf } from '../claims.ts';
import type { Context } from '../context.ts';

/** An MCP client as people run them: the official SDK, with this program's own bridge as a child over stdio. */
export async function openStdioClient(context: Context, args: readonly string[]) {
  const [{ Client }, { StdioClientTransport }] = await Promise.all([
    import('@modelcontextprotocol/sdk/client/index.js'),
    import('@modelcontextprotocol/sdk/client/stdio.js'),
  ]);
  const { node, script } = context.self;
  const env = Object.fromEntries(
    Object.entries(context.environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const transport = new StdioClientTransport({ command: node, args: [script, ...args], env, stderr: 'pipe' });
  let errors = '';
  transport.stderr?.on('data', (chunk: Buffer) => {
    errors = `${errors}${chunk.toString('utf8')}`.slice(-2000);
  });
  const client = new Client({ name: 'mcp-whoami-demo', version: '1.0.0' });
  try {
    await client.connect(transport);
  } catch (cause) {
    await client.close();
    throw new AppError('internal', `the bridge did not answer: ${errors}`, { cause });
  }
  return {
    pid: transport.pid,
    listTools: async () => (await client.listTools()).tools.map((tool) => tool.name),
    whoami: async (): Promise<JsonObject> =>
      claimsOf(await client.callTool({ name: 'whoami', arguments: {} })),
    close: () => client.close(),
  };
}
