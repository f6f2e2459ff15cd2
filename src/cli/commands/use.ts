import { AppError } from '../../lib/errors.ts';
import type { Command } from '../command.ts';
import { openConfigFile } from '../config-file.ts';
import { commonOptions } from '../settings/common.ts';
import { readWebUrl } from '../settings/option.ts';

export const command: Command = {
  positionals: ['URL'],
  about: 'Makes URL the server that every command uses when none is named.',
  options: commonOptions,
  async run(context, given) {
    const typed = given.positionals[0];
    if (!typed) throw new AppError('usage', 'which server? mcp-whoami use URL');
    const server = readWebUrl(typed, 'the server URL');
    const config = await openConfigFile(context.configDir);
    await config.setDefaultServer(server.href);
    context.print(`The default server is now ${server.href}`);
    return 0;
  },
};
