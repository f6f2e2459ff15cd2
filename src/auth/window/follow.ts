import type { SignInAttempt } from '../../lib/access.ts';
import { AppError } from '../../lib/errors.ts';
import type { Deadline } from './deadline.ts';
import type { Claim, SignInWindow } from './window.ts';

/** One slice of the wait for the claim: a wait that nobody needs any more ends within it. Milliseconds. */
const sliceMs = 2_000;

export interface Following {
  readonly window: SignInWindow;
  readonly deadline: Deadline;
  /** Resolves when the person has signed in by whatever way. */
  readonly elsewhere: Promise<void>;
  hasSignedIn(): Promise<boolean>;
  /** The holder is gone and nobody has signed in: go on with what it left, or throw. */
  inherit(claim: Claim): Promise<SignInAttempt>;
}

/**
 * The attempt of a process that found the window taken: it waits for the one who has it, and takes the sign-in
 * over when that one is gone.
 */
export function followAttempt(following: Following): SignInAttempt {
  const { window, deadline, elsewhere } = following;
  let inner: SignInAttempt | undefined;
  let wantsBrowser = false;

  async function claimWhenFree(): Promise<Claim | undefined> {
    while (!deadline.signal.aborted) {
      const claim = await window.claim(sliceMs);
      if (claim && deadline.signal.aborted) await claim.release(true);
      else if (claim) return claim;
    }
    return undefined;
  }

  async function wait(): Promise<void> {
    const claim = await Promise.race([claimWhenFree(), elsewhere.then(() => undefined), deadline.ended]);
    if (!claim) return;
    if (await following.hasSignedIn()) return claim.release(false);
    inner = await following.inherit(claim);
    if (wantsBrowser) await inner.openBrowser();
    await inner.completed;
  }

  const completed = wait().finally(() => deadline.end(new AppError('cancelled', 'the wait is over')));
  completed.catch(() => {});
  const end = (message: string) => deadline.end(new AppError('cancelled', message));
  return {
    get url() {
      return inner?.url;
    },
    /** There is a window already; should its process die before it opened it, we do. */
    async openBrowser() {
      wantsBrowser = true;
      return inner ? inner.openBrowser() : true;
    },
    completed,
    cancel() {
      inner?.cancel();
      end('the sign-in was cancelled');
    },
    leave() {
      inner?.leave?.();
      end('the sign-in goes on elsewhere');
    },
  };
}
