import { commandLine } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import { isObject, type JsonObject } from '../../lib/json.ts';
import { display, displayJson } from '../../lib/text.ts';
import { callThroughBridge } from '../call-through-bridge.ts';
import { clientOptions, setUpClient } from '../client.ts';
import type { Command } from '../command.ts';
import { givenTokens } from '../given-token.ts';
import { jsonOption } from '../settings/common.ts';
import { lateSession, openEdges } from '../sign-in-edges.ts';
import { keychainWaitMs } from './login.ts';

export const command: Command = {
  positionals: ['[URL]'],
  about: [
    "Asks the server at URL who you are: one call of its whoami tool, through the bridge's own path.",
    'Never opens a browser.',
  ].join('\n'),
  options: { ...clientOptions, ...jsonOption },
  async run(context, given) {
    const client = await setUpClient(context, given);
    const edges = openEdges(context, client, keychainWaitMs);
    const tokens = client.token ? givenTokens(context, client.token, client) : lateSession(edges, client);
    const claims = await callThroughBridge(context, client, tokens).catch((error: unknown) => {
      throw withNextStep(error, client.server);
    });
    if (given.flags.has('json')) context.print(displayJson(claims, 2));
    else context.print(lines(claims).join('\n'));
    if (claims.error === 'Not authenticated') {
      throw new AppError(
        'not_signed_in',
        `${client.server.href} runs without authentication: it knows nobody`,
        {
          hint: `start it without --no-auth, then ${commandLine('login', client)}`,
        },
      );
    }
    return 0;
  },
};

/** What the server itself answered: most often that it has no such tool. */
function withNextStep(error: unknown, server: URL): unknown {
  if (!(error instanceof AppError) || error.code !== 'remote_error' || error.hint) return error;
  return new AppError('remote_error', `${server.href} did not tell who you are: ${error.message}`, {
    hint: 'this command is for servers with a tool called whoami; clients reach every tool through mcp-whoami bridge',
    cause: error.cause,
  });
}

/** One line a claim, the names in a column. */
export function lines(claims: JsonObject): string[] {
  const width = Math.max(...Object.keys(claims).map((name) => name.length), 1);
  return Object.entries(claims).map(([name, value]) => {
    const shown = Array.isArray(value) || isObject(value) ? JSON.stringify(value) : String(value);
    return `${display(name).padEnd(width)}  ${display(shown)}`;
  });
}
