import type { Log } from '../lib/log.ts';
import { nearest } from '../lib/text.ts';
import type { ConfigFile } from './config-file.ts';
import { loginOption, remoteOptions, serverOption, signInOptions, storeOptions } from './settings/client.ts';
import { commonOptions } from './settings/common.ts';
import type { OptionTable } from './settings/resolve.ts';

const clientTables = [commonOptions, serverOption, remoteOptions, signInOptions, loginOption, storeOptions];
const known = ['$schema', 'servers', 'serve', ...clientTables.flatMap(membersOf)];

/** Tells of each member at the top of the file that no command reads: misspelt, it would decide nothing. */
export async function warnOfUnread({ path, global }: ConfigFile, log: Log): Promise<void> {
  const strange = Object.keys(global).filter((name) => !known.includes(name));
  if (strange.length === 0) return;
  // What `serve` reads may stand there, too; its tables are no part of a bridge's start.
  const { serverOptions } = await import('./settings/server.ts');
  const ofServer = membersOf(serverOptions);
  for (const setting of strange.filter((name) => !ofServer.includes(name))) {
    const near = nearest(setting, [...known, ...ofServer]);
    const hint = near && `did you mean "${near}"?`;
    log.warn('nothing reads a setting', { setting, in: path, hint });
  }
}

function membersOf(table: OptionTable): string[] {
  return Object.values(table).flatMap(({ member }) => member ?? []);
}
