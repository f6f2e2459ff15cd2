import { commandLine } from '../../lib/command-line.ts';
import { AppError } from '../../lib/errors.ts';
import { setUpClient } from '../client.ts';
import type { Command } from '../command.ts';
import { commonOptions } from '../settings/common.ts';

export const command: Command = {
  positionals: ['URL'],
  about: 'Makes URL the server that every command uses when none is named.',
  options: commonOptions,
  async run(context, given) {
    const typed = given.positionals[0];
    if (!typed) throw new AppError('usage', 'which server? mcp-whoami use URL');
    const { server, config } = await setUpClient(context, given).catch((error: unknown) => {
      const profile =
        given.flags.get('profile')?.at(-1) ?? (context.environment.MCP_WHOAMI_PROFILE || undefined);
      throw signInFirst(error, typed, profile);
    });
    await config.setDefaultServer(server.href);
    context.print(`The default server is now ${server.href}`);
    return 0;
  },
};

/** `--allow-http` is a flag of `login`, which remembers it for the server. */
function signInFirst(error: unknown, typed: string, profile: string | undefined): unknown {
  if (!(error instanceof AppError) || !error.hint?.includes('--allow-http')) return error;
  const { origin } = new URL(typed);
  const login = commandLine('login', { server: typed, profile });
  return new AppError(error.code, error.message, {
    hint: `use https, or first sign in: ${login} --allow-http ${origin}`,
  });
}
