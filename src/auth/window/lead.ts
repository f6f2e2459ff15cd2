import type { SignInAttempt } from '../../lib/access.ts';
import { AppError, asAppError } from '../../lib/errors.ts';
import type { SignInSettings } from '../../lib/settings.ts';
import type { AuthorizationRequest } from '../authorization-request.ts';
import type { Reach } from '../discovery/reach.ts';
import type { SignInEdges } from '../edges.ts';
import { freshlyPushed } from '../pushed-request.ts';
import type { Outcome } from '../redirect/loopback.ts';
import { complete, donePageOf, failedPageOf, type Waiting } from '../steps.ts';
import type { Deadline } from './deadline.ts';
import type { Claim } from './window.ts';

/** How long nobody is asked again after a person said no. Milliseconds. */
const pauseMs = 30_000;

export interface Leading {
  readonly edges: SignInEdges;
  readonly reach: Reach;
  readonly settings: SignInSettings;
  readonly deadline: Deadline;
  readonly claim: Claim;
  readonly waiting: Waiting;
  /** The window is open already: an earlier process opened it. */
  readonly opened: boolean;
  /** Resolves when the person has signed in by another way. */
  readonly elsewhere: Promise<void>;
}

/**
 * The attempt of the process that has the claim. When it ends, however it ends, nothing listens, the claim is
 * free, and nothing pending is kept, but a pause after a refusal and the request after `leave`.
 */
export function leadAttempt(leading: Leading): SignInAttempt {
  const { edges, reach, settings, deadline, claim, waiting } = leading;
  const { listener } = waiting;
  let { request } = waiting;
  let opening: Promise<boolean> | undefined = leading.opened ? Promise.resolve(true) : undefined;
  let leaving = false;

  async function run(): Promise<void> {
    let outcome: Outcome | undefined;
    try {
      const result = await complete(edges, reach, settings, waiting, { answerTo, present, renewed });
      if (result) outcome = donePageOf(result);
    } catch (error) {
      if (!deadline.signal.aborted) outcome = failedPageOf(error);
      if (isNo(error) && !leaving) await pause();
      throw tooLate(error, request);
    } finally {
      void (outcome ? listener.finish(outcome) : listener.close());
      deadline.end(new AppError('cancelled', 'the sign-in is over'));
      await claim.release(leaving);
    }
  }

  const answerTo = () =>
    Promise.race([listener.redirect, leading.elsewhere.then(() => undefined), deadline.ended]);

  async function present(again: AuthorizationRequest, onItsWay: boolean): Promise<void> {
    request = again;
    await claim.announce(again, onItsWay);
    opening = onItsWay ? Promise.resolve(true) : open();
    await opening;
  }

  function renewed(again: AuthorizationRequest): void {
    request = again;
  }

  const pause = () =>
    claim
      .pause(pauseMs)
      .catch((error: unknown) => edges.log.debug('no pause could be noted', { reason: error }));

  async function open(): Promise<boolean> {
    request = await freshlyPushed(reach, request, edges.now());
    const opened = await edges.openBrowser(request.url);
    if (opened && !deadline.signal.aborted) await claim.announce(request, true);
    return opened;
  }

  const completed = run();
  completed.catch(() => {});
  return {
    get url() {
      return request.url;
    },
    async openBrowser() {
      opening ??= open();
      const opened = await opening;
      // One that could not be started may be tried again.
      if (!opened) opening = undefined;
      return opened;
    },
    completed,
    cancel: () => end('the sign-in was cancelled'),
    leave: () => {
      leaving = true;
      end('the sign-in goes on elsewhere');
    },
  };

  function end(message: string): void {
    deadline.end(new AppError('cancelled', message));
    void listener.close();
  }
}

const isNo = (error: unknown) => ['sign_in_denied', 'cancelled'].includes(asAppError(error).code);

/** Who opens the address of a pushed request late is told so by the provider alone, which sends nobody back here. */
function tooLate(error: unknown, { pushed }: AuthorizationRequest): unknown {
  if (!pushed || !(error instanceof AppError) || error.code !== 'sign_in_timeout') return error;
  const seconds = Math.round(pushed.lifetimeMs / 1000);
  return new AppError('sign_in_timeout', error.message, {
    hint: `the provider's sign-in page has to be opened within ${seconds} s: call again and open it at once`,
  });
}
