import type { SignedIn, SignInEdges } from '../auth/login.ts';
import { commandLine } from '../lib/command-line.ts';
import { noBrowserReason } from '../lib/desktop.ts';
import { isLoopbackHost } from '../lib/url.ts';
import type { Client } from './client.ts';
import type { Context } from './context.ts';
import { readPastes } from './terminal/pastes.ts';
import { qrCode } from './terminal/qr-code.ts';
import { type Spinner, startSpinner } from './terminal/spinner.ts';

type Outcome = Promise<SignedIn | 'no_oauth_wanted'>;

/**
 * Signs a person in through the browser of this machine; where none can be shown, and where it does not start, the
 * address is for another one, and the redirect URL is taken from standard input.
 *
 * In: whether `--no-browser` was given. Throws what `login` throws.
 */
export async function signInByBrowser(
  context: Context,
  client: Client,
  edges: SignInEdges,
  noBrowser: boolean,
): Outcome {
  const { errorPageAdvice, login, signInMs } = await import('../auth/login.ts');
  const reason = noBrowser ? 'asked for' : noBrowserReason(context);
  const pastes = readPastes(context);
  const { wait, stop } = waiting(context);
  let endsAt = '';
  const askForPaste = () =>
    context.say(
      `It ends at ${endsAt}?code=… If that page cannot be shown, paste its address here${
        context.stdin.isTTY ? ' and press Enter' : ''
      }.`,
    );
  try {
    return await login(edges, client.signIn, {
      browser: reason ? 'print' : 'open',
      onUrl(url, redirectUri, offersDevice) {
        endsAt = redirectUri;
        context.say(`Signing in to ${client.server.href}`);
        if (reason && !noBrowser) sayNoBrowser(context, client, reason, offersDevice);
        if (reason) context.say(`Open this address in a browser:\n\n${url}\n`);
        else context.say(`Opening your browser. If nothing appears, visit:\n\n${url}\n`);
        if (reason) askForPaste();
        // A client that registers itself fits.
        if (client.signIn.clientId !== undefined) {
          const advice = errorPageAdvice(client.signIn, redirectUri);
          context.say(`If the provider shows an error there, ${advice}.`);
        }
        if (reason) pastes.open();
        wait('Waiting for you to finish there', signInMs);
      },
      onNoBrowser() {
        askForPaste();
        pastes.open();
      },
      onRenewedUrl: (url) =>
        context.say(
          `That address has run out. Unless you are at the provider already, open this one:\n\n${url}\n`,
        ),
      pasted: pastes.texts,
      signal: context.signals.aborted,
    });
  } finally {
    stop();
    pastes.close();
  }
}

function sayNoBrowser(
  context: Context,
  { server, profile }: Client,
  reason: string,
  offersDevice: boolean,
): void {
  context.say(`No browser is opened here: ${reason}.`);
  if (!offersDevice) return;
  context.say(`By a short code it goes, too: ${commandLine('login', { server, profile })} --device`);
}

/** Signs a person in by a code that they type into any browser. Throws what `loginWithDevice` throws. */
export async function signInByDevice(context: Context, client: Client, edges: SignInEdges): Outcome {
  const { loginWithDevice } = await import('../auth/device.ts');
  const { wait, stop } = waiting(context);
  try {
    return await loginWithDevice(edges, client.signIn, {
      async onCode({ userCode, verificationUri, verificationUriComplete, lifeMs }) {
        // A page of this machine is no use to the camera of another.
        const here = isLoopbackHost(new URL(verificationUri).hostname);
        const scanned = here ? undefined : verificationUriComplete;
        const qr = scanned && (await qrCode(scanned, context.screen));
        const where = here ? 'on this machine' : 'on any device';
        context.say(`Signing in to ${client.server.href}`);
        context.say(`Open this address in a browser ${where}:\n\n${verificationUri}\n`);
        context.say(`and enter the code\n\n${userCode}\n`);
        if (qr) context.say(`or scan this, and compare the code:\n\n${qr}\n`);
        wait('Waiting for you to allow it there', lifeMs);
      },
      signal: context.signals.aborted,
    });
  } finally {
    stop();
  }
}

/** The one spinner of a sign-in: begun when the person has something to do, and gone at the end. */
function waiting({ screen, now }: Context): { wait(what: string, ms: number): void; stop(): void } {
  let spinner: Spinner | undefined;
  return {
    wait(what, ms) {
      spinner ??= startSpinner(screen, what, now() + ms, now);
    },
    stop: () => spinner?.stop(),
  };
}
