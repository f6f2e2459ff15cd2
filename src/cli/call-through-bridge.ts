import { PassThrough } from 'node:stream';
import type { AccessTokens } from '../lib/access.ts';
import { commandLine } from '../lib/command-line.ts';
import type { JsonObject } from '../lib/json.ts';
import { silentLog } from '../lib/log.ts';
import { claimsOf, errorOf } from './claims.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';

/**
 * One call of the `whoami` tool by the official SDK's client, through the very bridge that clients start, in
 * this process. Never starts a sign-in.
 *
 * Out: the claims. Throws AppError: what the bridge would have told the client.
 */
export async function callThroughBridge(
  context: Context,
  client: Client,
  tokens: AccessTokens,
): Promise<JsonObject> {
  const [{ Client: McpClient }, { createStreamTransport }, { openBridge }, { openCatalogue }] =
    await Promise.all([
      import('@modelcontextprotocol/sdk/client/index.js'),
      import('./stream-transport.ts'),
      import('../bridge/bridge.ts'),
      import('../bridge/catalogue.ts'),
    ]);
  const [input, output] = [new PassThrough(), new PassThrough()];
  const bridge = openBridge({
    input,
    output,
    remote: client.remote,
    tokens,
    signIn: undefined,
    signInHint: commandLine('login', client),
    catalogue: openCatalogue(context.configDir, client.server, client.profile),
    http: client.http,
    // Its lines are for a client that waits; here the one error at the end says it all.
    log: client.log.level === 'debug' ? client.log : silentLog,
    // A person who waits in front of a terminal would rather know.
    timing: { holdMs: 3_000 },
  });
  const mcp = new McpClient({ name: 'mcp-whoami', version: '1.0.0' });
  const stop = () => void bridge.close('cancelled');
  context.signals.aborted.addEventListener('abort', stop, { once: true });
  try {
    await mcp.connect(createStreamTransport(output, input));
    const result = await mcp.callTool({ name: 'whoami', arguments: {} }, undefined, {
      timeout: client.remote.timeoutMs,
    });
    return claimsOf(result);
  } catch (error) {
    throw errorOf(error);
  } finally {
    context.signals.aborted.removeEventListener('abort', stop);
    await mcp.close();
    await bridge.close('done');
  }
}
