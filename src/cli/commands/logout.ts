import { AppError } from '../../lib/errors.ts';
import { displayJson } from '../../lib/text.ts';
import { clientOptions, setUpClient } from '../client.ts';
import type { Command } from '../command.ts';
import { jsonOption } from '../settings/common.ts';
import { readWebUrl, toggle } from '../settings/option.ts';
import { openEdges } from '../sign-in-edges.ts';
import { titleOf } from '../signed-in.ts';
import { keychainWaitMs } from './login.ts';

export const command: Command = {
  positionals: ['[URL]'],
  about: 'Revokes the tokens at the authorization server where it can, then forgets them here.',
  options: {
    ...clientOptions,
    ...jsonOption,
    all: toggle({ flag: 'all', help: 'every server and every profile' }),
  },
  async run(context, given) {
    const all = given.flags.has('all');
    if (all && given.positionals.length > 0) throw new AppError('usage', '--all goes with no URL');
    const client = await setUpClient(context, given, { sends: false });
    const edges = await openEdges(context, client, keychainWaitMs)();
    const { logout } = await import('../../auth/logout.ts');
    const targets = all
      ? (await edges.index.list()).map(({ server, profile }) => ({ server, profile }))
      : [{ server: client.server.href, profile: client.profile }];
    const json = given.flags.has('json');
    const tell = (line: string) => !json && context.print(line);
    const servers: object[] = [];
    if (targets.length === 0) tell('You were signed in nowhere.');
    for (const { server, profile } of targets) {
      const whose = { server: readWebUrl(server, 'the server URL'), profile };
      // Each server's provider may need its own `--ca`.
      const { http } = all ? await setUpClient(context, given, { ...whose, sends: false }) : client;
      const result = await logout({ ...edges, http }, whose);
      const title = titleOf(server, profile);
      servers.push({ url: server, profile, signedIn: false, revoked: result.revoked });
      if (!result.wasSignedIn) tell(`You were not signed in to ${title}.`);
      else tell(`Signed out of ${title}${result.revoked ? '; the tokens are revoked' : ''}.`);
      if (result.warning) client.log.warn(result.warning);
    }
    if (json) context.print(displayJson({ servers }, 2));
    return 0;
  },
};
