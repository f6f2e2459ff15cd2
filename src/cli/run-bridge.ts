import { commandLine } from '../lib/command-line.ts';
import { setUpClient } from './client.ts';
import type { Context, ExitCode } from './context.ts';
import { givenTokens } from './given-token.ts';
import { loginOption } from './settings/client.ts';
import type { Given } from './settings/resolve.ts';
import { lateSession, lateSignIn, openEdges } from './sign-in-edges.ts';

/** How long the bridge waits for the keychain: a client is waiting too. Milliseconds. */
const keychainWaitMs = 10_000;
/** For saving tokens that the keychain did not take before. Milliseconds. */
const settleMs = 200;

/**
 * Runs the stdio bridge until the client leaves or a signal comes. What fails meanwhile is told in answers,
 * never by ending: the codes 1, 3 and 4 are those of commands that end by themselves.
 */
export async function runBridge(context: Context, given: Given, server?: URL): Promise<ExitCode> {
  const client = await setUpClient(context, given, { server });
  const { login } = client.resolve(loginOption);
  const { log, remote } = client;

  if (context.stdin.isTTY) {
    context.say('An MCP client speaks to this command on standard input: register it there. Ctrl-C ends it.');
  }
  // The vault is opened with the first request that needs a token, not at the start.
  const edges = openEdges(context, client, keychainWaitMs);
  const session = lateSession(edges, client, login !== 'never');
  const tokens = client.token ? givenTokens(context, client.token, client) : session;
  const alone = client.token !== undefined || client.signIn.clientCredentials;
  const signIn = alone || login === 'never' ? undefined : lateSignIn(edges, client);

  const [{ openBridge }, { openCatalogue }] = await Promise.all([
    import('../bridge/bridge.ts'),
    import('../bridge/catalogue.ts'),
  ]);
  const bridge = openBridge({
    input: context.stdin,
    output: context.stdout,
    remote,
    tokens,
    signIn,
    signInHint: commandLine('login', client),
    catalogue: openCatalogue(context.configDir, client.server, client.profile),
    http: client.http,
    log,
  });
  const { aborted } = context.signals;
  const stop = () => void bridge.close('the bridge is being stopped');
  aborted.addEventListener('abort', stop, { once: true });
  if (aborted.aborted) stop();
  await bridge.closed;
  await Promise.race([
    session.settle().catch(() => {}),
    new Promise((resolve) => setTimeout(resolve, settleMs).unref()),
  ]);
  return context.signals.exitCode() ?? 0;
}
