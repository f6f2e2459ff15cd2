import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { ClientCapabilities } from '@modelcontextprotocol/sdk/types.js';
import { bin } from './command.ts';

export interface StdioClient {
  readonly client: Client;
  readonly pid: number;
  stderr(): string;
  close(): Promise<void>;
}

/** An MCP client on the official SDK, with the real binary as its stdio server. */
export async function connectOverStdio(
  args: readonly string[],
  env: Record<string, string>,
  capabilities: ClientCapabilities = {},
): Promise<StdioClient> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [bin, ...args],
    env,
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  const client = new Client({ name: 'test client', version: '1.0.0' }, { capabilities });
  try {
    await client.connect(transport);
  } catch (error) {
    await client.close();
    throw new Error(`no MCP server: ${stderr}`, { cause: error });
  }
  return { client, pid: transport.pid ?? 0, stderr: () => stderr, close: () => client.close() };
}

/** The claims that the whoami tool answered. */
export async function whoami(client: Client): Promise<Record<string, unknown>> {
  const result = await client.callTool({ name: 'whoami', arguments: {} });
  const content = result.content as { type: string; text: string }[];
  if (result.isError) throw new Error(content[0]?.text);
  return JSON.parse(content[0]?.text ?? '{}') as Record<string, unknown>;
}
