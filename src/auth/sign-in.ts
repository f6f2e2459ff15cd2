import type { SignIn, SignInAttempt } from '../lib/access.ts';
import { commandLine } from '../lib/command-line.ts';
import { AppError } from '../lib/errors.ts';
import type { SignInSettings } from '../lib/settings.ts';
import type { AuthorizationRequest } from './authorization-request.ts';
import { createReach, type Reach } from './discovery/reach.ts';
import { discover } from './discovery.ts';
import type { SignInEdges } from './edges.ts';
import { timedOut } from './login.ts';
import { openLoopback } from './redirect/loopback.ts';
import { beginRequest, type Waiting } from './steps.ts';
import { openTokenStore } from './tokens/token-store.ts';
import { createDeadline } from './window/deadline.ts';
import { followAttempt } from './window/follow.ts';
import { leadAttempt } from './window/lead.ts';
import { type Claim, openSignInWindow, signInMs } from './window/window.ts';

/** How often a waiting process looks whether somebody signed in elsewhere. Milliseconds. */
const lookMs = 1_000;

/**
 * Signing in on demand, for the bridge: one window for all processes of the user.
 *
 * Who has the claim leads; the others wait for its end, or take its request over when its process is gone. An
 * attempt also ends well when the person signs in by any other way meanwhile.
 */
export function createSignIn(edges: SignInEdges, settings: SignInSettings): SignIn {
  const window = openSignInWindow(edges, settings);
  const store = openTokenStore(edges, settings);
  let running: Promise<SignInAttempt> | undefined;

  const signedInAt = async () => {
    const entry = await edges.index.get(store.key);
    return entry?.dead ? undefined : entry?.savedAt;
  };
  const patience = () => createDeadline(undefined, signInMs, () => timedOut(settings));

  async function begin(scope: string | undefined): Promise<SignInAttempt> {
    const before = await signedInAt();
    const hasSignedIn = async () => {
      const at = await signedInAt();
      return at !== undefined && at !== before;
    };
    const claim = await window.tryClaim();
    if (claim) return lead(claim, scope, hasSignedIn);
    const deadline = patience();
    return followAttempt({
      window,
      deadline,
      elsewhere: seen(hasSignedIn, deadline.signal),
      hasSignedIn,
      inherit: (inherited) => lead(inherited, scope, hasSignedIn, true),
    });
  }

  /** In: `inherited`: nothing new is begun where nothing was left. */
  async function lead(
    claim: Claim,
    scope: string | undefined,
    hasSignedIn: () => Promise<boolean>,
    inherited = false,
  ): Promise<SignInAttempt> {
    const deadline = patience();
    const reach = createReach(edges.http, settings, deadline.signal);
    try {
      const pending = await claim.pending();
      if (pending?.kind === 'pause') throw justCancelled(pending.until);
      if (inherited && !pending) throw cameToNothing();
      const left = pending && (await takeOver(pending.request, scope));
      const waiting = left ?? (await fresh(reach, scope));
      const opened = left !== undefined && pending?.opened === true;
      await claim.announce(waiting.request, opened).catch(async (error: unknown) => {
        await waiting.listener.close();
        throw error;
      });
      const elsewhere = seen(hasSignedIn, deadline.signal);
      return leadAttempt({ edges, reach, settings, deadline, claim, waiting, opened, elsewhere });
    } catch (error) {
      deadline.clear();
      await claim.release(false);
      throw error;
    }
  }

  async function fresh(reach: Reach, moreScope: string | undefined): Promise<Waiting> {
    const discovery = await discover(reach, settings, edges.log);
    if (discovery !== 'no_oauth_wanted') {
      const scope = moreScope && [await grantedAt(discovery.server.issuer), moreScope].join(' ');
      return beginRequest(edges, reach, settings, discovery, scope);
    }
    throw new AppError('sign_in_failed', `${settings.server.href} offers no sign-in`, {
      hint: 'it answers without a token: try the call again',
    });
  }

  /** A step-up asks for all that was granted before as well (MCP authorization, "Step-Up Authorization Flow"). */
  async function grantedAt(issuer: string): Promise<string> {
    const set = await store.load();
    return set?.issuer === issuer ? set.scope : '';
  }

  /** The request that a process left waiting in a browser; undefined when its port is gone, or its scope too small. */
  async function takeOver(
    request: AuthorizationRequest,
    scope: string | undefined,
  ): Promise<Waiting | undefined> {
    const asked = new Set(request.scope?.split(' '));
    if (scope?.split(' ').some((word) => !asked.has(word))) return undefined;
    const { redirectUri, state } = request;
    const { hostname, port } = new URL(redirectUri);
    if (hostname !== settings.redirectHost) return undefined;
    try {
      const listener = await openLoopback({ host: settings.redirectHost, port: Number(port || 80), state });
      return { request, listener };
    } catch (error) {
      edges.log.debug('a sign-in under way cannot be taken over', { reason: error });
      return undefined;
    }
  }

  function justCancelled(until: number): AppError {
    const seconds = Math.ceil((until - edges.now()) / 1000);
    return new AppError('sign_in_denied', `the sign-in to ${settings.server.href} was just cancelled`, {
      hint: `try again in ${seconds} s, or run ${commandLine('login', settings)}`,
    });
  }

  function cameToNothing(): AppError {
    const message = `the sign-in to ${settings.server.href} in another window came to nothing`;
    return new AppError('sign_in_failed', message, {
      hint: `try again, or run ${commandLine('login', settings)}`,
    });
  }

  return {
    start(scope) {
      if (running) return running;
      const mine = begin(scope);
      running = mine;
      const over = () => {
        if (running === mine) running = undefined;
      };
      mine.then(({ completed }) => completed.then(over, over), over);
      return mine;
    },
  };
}

/** Resolves when `hasSignedIn` says so; looks until `signal` is aborted. */
function seen(hasSignedIn: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = async () => {
      if (await hasSignedIn().catch(() => false)) resolve();
    };
    const timer = setInterval(look, lookMs);
    timer.unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  });
}
