import type { SignedIn, SignInEdges } from '../../auth/login.ts';
import { AppError } from '../../lib/errors.ts';
import { display, displayJson } from '../../lib/text.ts';
import { askClientSecret } from '../ask-secret.ts';
import { type Client, clientOptions, setUpClient, toRemember } from '../client.ts';
import type { Command } from '../command.ts';
import type { Context } from '../context.ts';
import { saveCatalogue } from '../save-catalogue.ts';
import { jsonOption } from '../settings/common.ts';
import { toggle } from '../settings/option.ts';
import type { Given } from '../settings/resolve.ts';
import { openEdges } from '../sign-in-edges.ts';
import { signInByBrowser, signInByDevice } from '../sign-in-ways.ts';
import { describe, viewOf } from '../signed-in.ts';

/** How long a terminal command waits for the keychain: a person may be typing its password. Milliseconds. */
export const keychainWaitMs = 60_000;

const loginOptions = {
  ...clientOptions,
  ...jsonOption,
  noBrowser: toggle({ flag: 'no-browser', help: 'print the address, take the pasted redirect URL' }),
  device: toggle({ flag: 'device', help: 'sign in by a code that you type into any browser (device flow)' }),
  switchAccount: toggle({ flag: 'switch-account', help: 'ask the provider to offer a choice of accounts' }),
  askClientSecret: toggle({
    flag: 'ask-client-secret',
    help: "ask here for the client's secret, and keep it with the tokens",
  }),
  printRedirectUri: toggle({
    flag: 'print-redirect-uri',
    help: 'print what to register at a provider, and exit',
  }),
};

export const command: Command = {
  positionals: ['[URL]'],
  about: [
    'Signs you in to the server at URL: PKCE in the system browser, the tokens in the keychain.',
    'With --client-credentials the client signs in for itself: no browser, no person.',
    'The first server you sign in to becomes the default one.',
  ].join('\n'),
  options: loginOptions,
  async run(context, given) {
    const client = await setUpClient(context, given);
    if (given.flags.has('print-redirect-uri')) {
      const { redirectUriToRegister } = await import('../../auth/login.ts');
      const redirectUri = redirectUriToRegister(client.signIn);
      context.print(given.flags.has('json') ? displayJson({ redirectUri }, 2) : redirectUri);
      return 0;
    }
    if (client.store === 'memory') {
      throw new AppError('usage', 'a sign-in kept in memory would be gone when login ends', {
        hint: '--store memory is for bridge; leave it out, or use --store file',
      });
    }
    if (given.flags.has('token-command')) {
      throw new AppError('usage', 'with --token-command nobody has to sign in', {
        hint: 'give the flag to bridge and whoami, or write "tokenCommand" into config.json',
      });
    }
    const edges = await signInEdges(context, client, given);
    const result = await signIn(context, client, edges, given);
    if (result === 'no_oauth_wanted') return sayNoOAuth(context, client, given);
    await settle(context, client, given, edges, result);
    return 0;
  },
};

/** `--client-credentials`, without a person; `--device`; else the browser. */
async function signIn(context: Context, client: Client, edges: SignInEdges, given: Given) {
  if (client.signIn.clientCredentials) {
    refuseForClient(given);
    const { signInAsClient } = await import('../../auth/client-sign-in.ts');
    return signInAsClient(edges, client.signIn, context.signals.aborted);
  }
  if (given.flags.has('device')) return signInByDevice(context, client, edges);
  return signInByBrowser(context, client, edges, given.flags.has('no-browser'));
}

/** The file may remember client credentials of a server that a person now wants to sign in to. */
function refuseForClient({ flags }: Given): void {
  const flag = ['device', 'no-browser', 'switch-account'].find((name) => flags.has(name));
  if (flag === undefined) return;
  throw new AppError('usage', `--${flag} is for a person; here the client signs in for itself`, {
    hint: 'sign a person in under another --profile NAME, or take clientCredentials out of config.json',
  });
}

async function signInEdges(context: Context, client: Client, given: Given): Promise<SignInEdges> {
  const asked = asking(context, client, given);
  return { ...(await openEdges(context, client, keychainWaitMs)()), ...asked };
}

/** The edge by which a person is asked for the client's secret, if `--ask-client-secret` says so. */
function asking(context: Context, { signIn }: Client, given: Given): Pick<SignInEdges, 'askClientSecret'> {
  if (!given.flags.has('ask-client-secret')) return {};
  if (signIn.clientId === undefined) {
    throw new AppError('usage', '--ask-client-secret: of which client? Name it with --client-id ID');
  }
  if (signIn.clientKey !== undefined) {
    throw new AppError('usage', 'a client proves itself with its secret or with its key, not with both', {
      hint: 'leave out --ask-client-secret or --client-key',
    });
  }
  return { askClientSecret: (id, issuer) => askClientSecret(context, id, issuer) };
}

/** What is remembered, made the default, saved and told once the tokens are in the vault. */
async function settle(
  context: Context,
  client: Client,
  given: Given,
  edges: SignInEdges,
  signedIn: SignedIn,
): Promise<void> {
  const { config, server, profile, token } = client;
  await config.remember(server.href, profile, toRemember(client, context, given));
  if (given.flags.get('header')?.some((text) => !text.includes('${'))) {
    client.log.warn('a header with a literal value is not remembered: it may be a secret', {
      hint: "give it to bridge too, or name a variable in it: --header 'Name: ${VAR}'",
    });
  }
  if (token) {
    client.log.warn(`while ${token.from} is set, bridge and whoami send its token, not this sign-in's`, {
      hint: 'command' in token ? 'take tokenCommand out of config.json' : `unset ${token.from}`,
    });
  }
  const first = config.defaultServer === undefined;
  if (first) await config.setDefaultServer(server.href);
  await saveCatalogue(context, client, edges);
  const entry = await edges.index.get(signedIn.key);
  if (!entry)
    throw new AppError('vault_failed', `the sign-in to ${server.href} was saved, but cannot be found again`);
  if (given.flags.has('json')) {
    context.print(displayJson(viewOf(entry, context.now()), 2));
    return;
  }
  context.print(describe(entry, context.now()).join('\n'));
  if (first) context.print('  this is now your default server');
}

function sayNoOAuth(context: Context, client: Client, given: Given): number {
  if (given.flags.has('json')) {
    const { href } = client.server;
    context.print(displayJson({ url: href, profile: client.profile, signedIn: false, scopes: [] }, 2));
  } else context.print(`${display(client.server.href)} wants no sign-in: anybody may use it.`);
  return 0;
}
