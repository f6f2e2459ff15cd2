import { clientOptions } from '../client.ts';
import type { Command } from '../command.ts';
import { runBridge } from '../run-bridge.ts';
import { loginOption } from '../settings/client.ts';

export const command: Command = {
  positionals: ['[URL]'],
  about: [
    'The stdio MCP endpoint: an MCP client starts it, and reaches the protected server at URL through it.',
    'Standard output carries MCP messages only. It answers at once, signed in or not, remote up or down.',
  ].join('\n'),
  options: { ...clientOptions, ...loginOption },
  run: (context, given) => runBridge(context, given),
};
