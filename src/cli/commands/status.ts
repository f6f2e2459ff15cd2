import { commandLine } from '../../lib/command-line.ts';
import { describeNetworkError } from '../../lib/network-error.ts';
import { displayJson } from '../../lib/text.ts';
import { type Client, clientOptions, setUpClient } from '../client.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { jsonOption } from '../settings/common.ts';
import { describe, isSignedIn, overview, titleOf, viewOf } from '../signed-in.ts';

const { server, profile, logLevel, help, version } = clientOptions;

export const command: Command = {
  positionals: ['[URL]'],
  about: 'Shows who you are signed in as, at every server or at URL. Never a token.',
  options: { help, version, server, profile, logLevel, ...jsonOption },
  async run(context, given) {
    const client = await setUpClient(context, given, { sends: false });
    const [{ openIndex }, { openLocks }] = await Promise.all([
      import('../../vault/index-file.ts'),
      import('../../vault/locks.ts'),
    ]);
    const index = openIndex(context.configDir, openLocks(context.configDir), client.log);
    const one = given.positionals.length > 0;
    const wantsProfile = given.flags.has('profile') || Boolean(context.environment.MCP_WHOAMI_PROFILE);
    const entries = (await index.list()).filter(
      (entry) =>
        (!one || entry.server === client.server.href) &&
        (!(one || wantsProfile) || entry.profile === client.profile),
    );
    const now = context.now();
    const anyone = entries.some((entry) => isSignedIn(entry, now));

    if (given.flags.has('json')) {
      const nobody = { url: client.server.href, profile: client.profile, signedIn: false, scopes: [] };
      const servers = entries.length === 0 && one ? [nobody] : entries.map((entry) => viewOf(entry, now));
      context.print(displayJson({ servers }, 2));
    } else if (entries.length === 0) {
      const under = wantsProfile ? ` under the profile ${client.profile}` : '';
      const title = titleOf(client.server.href, client.profile);
      context.print(one ? `${title}\n  signed out` : `You are signed in nowhere${under}.`);
    } else if (entries.length === 1) {
      context.print(entries.flatMap((entry) => describe(entry, now)).join('\n'));
    } else {
      context.print(overview(entries, now, client.config.defaultServer).join('\n'));
    }
    if (one) await sayIfDown(context, client);
    const out = entries.filter((entry) => !isSignedIn(entry, now));
    if (!given.flags.has('json')) {
      for (const account of entries.length > 0 ? out : [client]) {
        context.say(`  → ${commandLine('login', account)}`);
      }
    }
    return anyone ? 0 : 3;
  },
};

/** A server that is down is worth a line, but no failure of `status`. */
async function sayIfDown(context: Context, { http, server }: Client): Promise<void> {
  try {
    const answer = await http.open(server, { method: 'HEAD', headersTimeoutMs: 2_000 });
    answer.destroy();
  } catch (error) {
    context.say(`mcp-whoami: the server is down: ${describeNetworkError(error, server)}`);
  }
}
