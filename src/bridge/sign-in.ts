import { randomUUID } from 'node:crypto';
import type { SignIn, SignInAttempt } from '../lib/access.ts';
import { AppError, asAppError } from '../lib/errors.ts';
import { isObject, type JsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import { display } from '../lib/text.ts';
import { createDeferred, type Deferred, pause } from './deferred.ts';
import { failureLine, toolTextLine } from './errors.ts';
import { notificationLine } from './message.ts';
import type { InFlight } from './requests.ts';
import type { Timing } from './timing.ts';

/** An attempt ends by itself before this. Milliseconds. */
const clientMs = 360_000;
/** So long a sign-in for more scopes that did not help is not asked for once more. Milliseconds. */
const rememberMs = 600_000;
/** As many sign-ins are begun in that time: a provider that sends browsers back at once needs nobody's consent. */
const mostBegun = 5;
/** A client that gave a progress token hears of its waiting call so often. Milliseconds. */
const progressMs = 5_000;

export interface SignInDeskOptions {
  readonly server: URL;
  /** `undefined`: no sign-in is started from here. */
  readonly signIn: SignIn | undefined;
  /** The line to type. */
  readonly hint: string;
  readonly timing: Pick<Timing, 'signInMs'>;
  readonly log: Log;
  /** Monotonic. Milliseconds. */
  readonly now: () => number;
  /** Whether the client shows URLs (capability `elicitation.url`, revision 2025-11-25). */
  canElicit(): boolean;
  /** Asks the client; its answer. `signal` withdraws the question. */
  ask(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject>;
  /** Writes a line to the client. */
  tell(line: string): void;
  /** A sign-in has completed, perhaps after its call was answered. */
  signedIn(): void;
}

/** Gets a person to sign in for a call, in the way that the client can show. One attempt at a time. */
export interface SignInDesk {
  /**
   * In: why the call was refused; with `insufficient_scope` the person is asked for more scopes. Out: `undefined`
   * when the person has signed in and the call can be sent, else the line that answers it.
   */
  attend(call: InFlight, cause: AppError): Promise<string | undefined>;
  /** This process ends; another one may go on with the sign-in. */
  leave(): void;
}

/** How the person sees a sign-in. `elsewhere`: another process shows it; `nowhere`: only our text can tell. */
type Shown = 'client' | 'browser' | 'elsewhere' | 'nowhere';

interface Visit {
  readonly attempt: SignInAttempt;
  /** What it asks for on top of what was granted before. */
  readonly scope: string | undefined;
  shown: Shown;
  /** The client could not show the URL after all. */
  readonly notShown: Deferred;
  /** Settles when the sign-in does: with `undefined` when the person has signed in. Never rejects. */
  readonly outcome: Promise<AppError | undefined>;
}

export function createSignInDesk(options: SignInDeskOptions): SignInDesk {
  const { server, signIn, hint, log, tell, now } = options;
  let visit: Promise<Visit> | undefined;
  /** For which scopes a sign-in has succeeded, and when: what they did not suffice for is not asked for again. */
  const widened = new Map<string, number>();
  /** When the latest were begun. */
  let begunAt: readonly number[] = [];

  /** When a sign-in for the last of these scopes has succeeded; `undefined` where one was not asked for lately. */
  function widenedFor(scope: string): number | undefined {
    const times = scope.split(' ').map((word) => widened.get(word) ?? Number.NEGATIVE_INFINITY);
    return times.every((at) => now() - at < rememberMs) ? Math.max(...times) : undefined;
  }

  function mayBegin(): boolean {
    begunAt = begunAt.filter((at) => now() - at < rememberMs);
    if (begunAt.length >= mostBegun) return false;
    begunAt = [...begunAt, now()];
    return true;
  }

  async function begin(desk: SignIn, scope: string | undefined): Promise<Visit> {
    const attempt = await desk.start(scope);
    const declined = createDeferred<AppError>();
    const outcome = Promise.race([
      declined.promise,
      attempt.completed.then(
        () => undefined,
        (error: unknown) => asAppError(error, 'sign_in_failed'),
      ),
    ]);
    const begun: Visit = { attempt, scope, outcome, shown: 'elsewhere', notShown: createDeferred() };
    if (attempt.url === undefined) return begun;
    if (options.canElicit()) elicit(begun, attempt.url, declined);
    else await showInBrowser(begun);
    return begun;
  }

  function end({ scope }: Visit, error: AppError | undefined): void {
    visit = undefined;
    if (!error) for (const word of scope?.split(' ') ?? []) widened.set(word, now());
    if (error) log.warn(`the sign-in to ${server.host} did not succeed`, { reason: error });
    else {
      log.info(`signed in to ${server.host}`);
      options.signedIn();
    }
  }

  async function showInBrowser(begun: Visit): Promise<void> {
    const opened = await begun.attempt.openBrowser().catch(() => false);
    begun.shown = opened ? 'browser' : 'nowhere';
    begun.notShown.resolve();
  }

  /** URL mode elicitation (2025-11-25, client/elicitation): the client opens the URL, we say when it is over. */
  function elicit(begun: Visit, url: string, declined: Deferred<AppError>): void {
    begun.shown = 'client';
    const elicitationId = randomUUID();
    const over = new AbortController();
    void begun.outcome.then((error) => {
      if (!error) tell(notificationLine('notifications/elicitation/complete', { elicitationId }));
      over.abort();
    });
    const { scope } = begun;
    const message = scope
      ? `${server.host} asks for more rights (${display(scope, 200)}). Sign in once more to go on.`
      : `Sign in to ${server.host} to go on.`;
    const question = { mode: 'url', elicitationId, url, message };
    void options.ask('elicitation/create', question, over.signal).then((answer) => {
      if (over.signal.aborted) return;
      const action = isObject(answer.result) ? answer.result.action : undefined;
      if (action === 'accept') return;
      if (action === undefined) return void showInBrowser(begun);
      declined.resolve(
        new AppError('sign_in_denied', `the sign-in to ${server.host} was not accepted`, { hint }),
      );
      begun.attempt.cancel();
    });
  }

  async function attend(call: InFlight, cause: AppError): Promise<string | undefined> {
    if (!signIn) return failureLine(call.id, call.method, withHint(cause, hint));
    const { scope } = cause;
    const widenedAt = scope === undefined ? undefined : widenedFor(scope);
    if (widenedAt !== undefined) {
      // What was sent before that sign-in may do now.
      return call.sentAt < widenedAt ? undefined : failureLine(call.id, call.method, inVain(hint, cause));
    }
    if (!visit && !mayBegin()) return failureLine(call.id, call.method, tooOften(server, hint));
    const stopProgress = keepInformed(call);
    try {
      visit ??= begin(signIn, scope).then((begun) => {
        void begun.outcome.then((error) => end(begun, error));
        return begun;
      });
      const begun = await visit;
      const result = await Promise.race([
        begun.outcome,
        outOfPatience(begun, options.timing.signInMs, call.stop.signal),
      ]);
      if (result === undefined) return undefined;
      if (result === 'late') return toolTextLine(call.id, whatToDo(server, begun, hint), true);
      return failureLine(call.id, call.method, withHint(result, hint));
    } catch (error) {
      visit = undefined;
      return failureLine(call.id, call.method, withHint(asAppError(error, 'sign_in_failed'), hint));
    } finally {
      stopProgress();
    }
  }

  /** Progress for a call that waits, so that the client's clock starts again (basic/utilities/progress). */
  function keepInformed({ progressToken }: InFlight): () => void {
    if (progressToken === undefined) return () => {};
    let step = 0;
    const inform = () => {
      step++;
      // Small steps: what the server itself reports afterwards has to be more.
      const params = {
        progressToken,
        progress: step / 1000,
        message: `waiting for the sign-in to ${server.host}`,
      };
      tell(notificationLine('notifications/progress', params));
    };
    inform();
    const timer = setInterval(inform, progressMs);
    return () => clearInterval(timer);
  }

  const leave = () =>
    void visit?.then(
      ({ attempt }) => attempt.leave?.(),
      () => {},
    );

  return { attend, leave };
}

/** Settles when the call has to be answered although the person has not come back yet. */
async function outOfPatience(visit: Visit, signInMs: number, stop: AbortSignal): Promise<'late'> {
  if (visit.shown === 'client') await Promise.race([visit.notShown.promise, pause(clientMs, stop)]);
  if (visit.shown !== 'nowhere') await pause(signInMs, stop);
  return 'late';
}

function withHint(error: AppError, hint: string): AppError {
  return error.hint === undefined
    ? new AppError(error.code, error.message, { hint, cause: error.cause })
    : error;
}

/** A person has signed in for these scopes, and the server is not content. */
function inVain(hint: string, { message, scope }: AppError): AppError {
  return new AppError('insufficient_scope', `${message}, also after a sign-in that asked for it`, {
    hint: `another account may have it (${hint} --switch-account), else ask who runs the server`,
    scope,
  });
}

function tooOften({ host }: URL, hint: string): AppError {
  return new AppError('sign_in_failed', `${host} has asked for a sign-in again and again`, {
    hint: `no more windows are opened for it for a while; where that is right, ${hint}`,
  });
}

function whatToDo(server: URL, { attempt, scope, shown }: Visit, hint: string): string {
  const { url } = attempt;
  const why = scope
    ? `${server.host} asks for more rights (${display(scope, 200)})`
    : `You are not signed in to ${server.host}`;
  const then = 'Then repeat the call.';
  if (url === undefined || shown === 'elsewhere') {
    return `A sign-in to ${server.host} is under way in another window: finish it there, or type: ${hint}. ${then}`;
  }
  const open = `open ${url} in a browser on this machine, or type: ${hint}.`;
  if (shown === 'nowhere') return `${why}. To sign in, ${open} ${then}`;
  return `${why}; the sign-in page is open in your browser. If you do not see it, ${open} ${then}`;
}
