import { commandLine } from '../lib/command-line.ts';
import { AppError, asAppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import { errorPageAdvice } from './advice.ts';
import { createReach, type Reach } from './discovery/reach.ts';
import { type Discovery, discover } from './discovery.ts';
import type { SignInEdges } from './edges.ts';
import { redirectUriOf } from './redirect/loopback.ts';
import { type PastedRedirects, readPasted } from './redirect/pasted.ts';
import { beginRequest, complete, donePageOf, failedPageOf, type SignedIn, type Walk } from './steps.ts';
import { createDeadline, type Deadline } from './window/deadline.ts';
import { type Claim, openSignInWindow, signInMs } from './window/window.ts';

export { errorPageAdvice } from './advice.ts';
export type { SignInEdges } from './edges.ts';
export type { SignedIn } from './steps.ts';
export { signInMs } from './window/window.ts';

export interface LoginOptions {
  /** `print`: no browser is opened; `onUrl` is told the URL in either case. */
  readonly browser: 'open' | 'print';
  /** In: `offersDevice`: the authorization server has a device flow, too. */
  onUrl(url: string, redirectUri: string, offersDevice: boolean): void;
  /** The browser that was to be opened could not be, or ended with an error. The sign-in goes on. */
  onNoBrowser?(): void;
  /** An address that no browser of ours was sent to has run out; this one has taken its place. */
  onRenewedUrl?(url: string): void;
  /** What the person pastes: the redirect URL among it. */
  readonly pasted?: AsyncIterable<string> | undefined;
  /** Ends the sign-in with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
  /** Default: 5 minutes. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Signs a person in to one MCP server, from its URL to tokens in the vault.
 *
 * Out: `no_oauth_wanted` when the server asks for no sign-in. Throws AppError: those of `discover`,
 * `registration_failed`, `port_taken`, `sign_in_denied`, `sign_in_failed`, `sign_in_timeout`,
 * `invalid_target`, `cancelled`, and those of the vault. However it ends, nothing listens and nothing pending
 * is kept.
 */
export async function login(
  edges: SignInEdges,
  settings: SignInSettings,
  how: LoginOptions,
): Promise<SignedIn | 'no_oauth_wanted'> {
  const deadline = createDeadline(how.signal, how.timeoutMs ?? signInMs, () => timedOut(settings));
  const reach = createReach(edges.http, settings, deadline.signal);
  // Bridges that need a sign-in meanwhile wait for this one; a window of theirs does not stop a person here.
  const claim = await openSignInWindow(edges, settings).tryClaim();
  const pasted = readPasted(how.pasted, edges.log);
  try {
    const discovery = await discover(reach, settings, edges.log);
    if (discovery === 'no_oauth_wanted') return discovery;
    return await walkThrough(edges, reach, settings, discovery, how, { deadline, claim, pasted });
  } finally {
    deadline.clear();
    pasted.stop();
    await claim?.release(false);
  }
}

interface Around {
  readonly deadline: Deadline;
  readonly claim: Claim | undefined;
  readonly pasted: PastedRedirects;
}

/** Register -> listen -> open the browser -> one redirect -> exchange -> save -> tell the truth. */
async function walkThrough(
  edges: SignInEdges,
  reach: Reach,
  settings: SignInSettings,
  discovery: Discovery,
  how: LoginOptions,
  { deadline, claim, pasted }: Around,
): Promise<SignedIn> {
  const waiting = await beginRequest(edges, reach, settings, discovery);
  const { request, listener } = waiting;
  const offersDevice = request.server.device_authorization_endpoint !== undefined;
  let opened = false;
  // Whether a browser starts is known a moment later; its redirect may be there before.
  const open = async (url: string) => {
    opened = true;
    if (await edges.openBrowser(url)) return;
    opened = false;
    edges.log.warn('no browser could be started: open the address yourself');
    how.onNoBrowser?.();
  };
  const walk: Walk<never> = {
    answerTo: (asked) => Promise.race([listener.redirect, pasted.next(asked), deadline.ended]),
    async present(asked, onItsWay) {
      await claim?.announce(asked, true);
      how.onUrl(asked.url, asked.redirectUri, offersDevice);
      opened = onItsWay;
      if (onItsWay || how.browser === 'print') return;
      void open(asked.url).catch((error: unknown) => deadline.end(asAppError(error)));
    },
    renewed(asked) {
      if (!opened) how.onRenewedUrl?.(asked.url);
    },
  };
  try {
    await walk.present(request, false);
    const result = await complete(edges, reach, settings, waiting, walk);
    await listener.finish(donePageOf(result));
    return result;
  } catch (error) {
    if (!deadline.signal.aborted) await listener.finish(failedPageOf(error));
    throw error;
  } finally {
    await listener.close();
  }
}

/** What to register at a provider as the redirect URI. Without a fixed port: the form that allows any. */
export function redirectUriToRegister({
  redirectHost,
  redirectPort,
}: Pick<SignInSettings, 'redirectHost' | 'redirectPort'>): string {
  return redirectUriOf(redirectHost, redirectPort);
}

export function timedOut(settings: SignInSettings): AppError {
  const advice = errorPageAdvice(settings);
  return new AppError('sign_in_timeout', `nobody finished the sign-in to ${settings.server.href} in time`, {
    hint: `run ${commandLine('login', settings)}; if the browser showed an error, ${advice}`,
  });
}
