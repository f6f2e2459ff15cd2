import { type AppError, asAppError } from '../lib/errors.ts';
import { isObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import type { Carrier } from './carrier.ts';
import type { ListMethod } from './catalogue.ts';
import { failureLine, toolTextLine } from './errors.ts';
import { emptyList } from './greeting.ts';
import type { Link } from './link.ts';
import type { Lists } from './lists.ts';
import { type Message, oneLine, paramsOf, resultLine } from './message.ts';
import type { Connected } from './remote/transport.ts';
import type { InFlight, Requests } from './requests.ts';
import type { SignInDesk } from './sign-in.ts';
import type { Timing } from './timing.ts';

export type Request = Extract<Message, { kind: 'request' }>;

export interface GreeterOptions {
  readonly server: URL;
  readonly link: Link;
  readonly lists: Lists;
  readonly requests: Requests;
  readonly carrier: Carrier;
  readonly desk: SignInDesk;
  readonly log: Log;
  readonly now: () => number;
  readonly timing: Timing;
  tell(line: string): void;
}

/**
 * The requests that never wait for the network longer than 300 ms: `initialize`, and the lists that clients ask
 * for while they start. Each gives false when its id is in flight already.
 */
export interface Greeter {
  initialize(request: Request): boolean;
  list(request: Request, method: ListMethod): boolean;
  /** Our own tool, offered while nothing is known of the server. */
  signIn(request: Request): boolean;
  greeted(connected: Connected): void;
  unavailable(error: AppError, answer?: string): void;
  /** Whether the client shows URLs that a server asks it to (capability `elicitation.url`, revision 2025-11-25). */
  canElicit(): boolean;
}

export function createGreeter(options: GreeterOptions): Greeter {
  const { server, link, lists, requests, carrier, desk, log, now, tell } = options;
  const { patienceMs, holdMs } = options.timing;
  const loaded = lists.load();
  let startedAt: number | undefined;
  let canElicit = false;
  let waiting: { entry: InFlight; wanted: unknown } | undefined;

  function initialize(request: Request): boolean {
    const entry = requests.open({ ...request, answerTo: tell });
    if (!entry) return false;
    startedAt ??= now();
    canElicit = showsUrls(request);
    waiting = { entry, wanted: paramsOf(request.json).protocolVersion };
    void loaded.then((saved) => {
      // A client that introduces itself late, or again, finds the connection in use.
      if (link.session) greetLocally();
      else link.start({ text: request.text, id: request.id }, saved?.transport);
    });
    setTimeout(greetLocally, patienceMs);
    return true;
  }

  function greetLocally(): void {
    if (!waiting || waiting.entry.done) return;
    const { entry, wanted } = waiting;
    requests.finish(entry, resultLine(entry.id, lists.greeting(wanted)));
  }

  function list(request: Request, method: ListMethod): boolean {
    let passedOn = true;
    const local = (result: string) => {
      passedOn = false;
      lists.gave(method, result);
      return resultLine(request.id, result);
    };
    const entry = requests.open({
      ...request,
      answerTo: tell,
      instead: () => local(lists.local(method)),
      observe: (json, text) => lists.seen(method, { json, text }, passedOn),
    });
    if (entry) void seeList(entry, method, local);
    return entry !== undefined;
  }

  async function seeList(
    entry: InFlight,
    method: ListMethod,
    local: (result: string) => string,
  ): Promise<void> {
    startedAt ??= now();
    await loaded;
    await link.settled(patienceMs - (now() - startedAt));
    if (entry.done) return;
    if (!link.session) return requests.finish(entry, local(lists.local(method)));
    if (lists.lacks(method)) return requests.finish(entry, local(emptyList(method)));
    const saved = lists.saved(method);
    const late = () => {
      if (!entry.done && saved !== undefined) requests.answer(entry, local(saved));
    };
    const timer = saved === undefined ? undefined : setTimeout(late, patienceMs);
    await carrier.see(entry);
    if (entry.done) clearTimeout(timer);
  }

  function signIn(request: Request): boolean {
    const entry = requests.open({ ...request, answerTo: tell });
    if (entry) void seeSignIn(entry);
    return entry !== undefined;
  }

  async function seeSignIn(entry: InFlight): Promise<void> {
    try {
      await link.ready(holdMs).catch(async (thrown: unknown) => {
        const error = asAppError(thrown);
        if (error.code !== 'not_signed_in') throw error;
        const line = await desk.attend(entry, error);
        if (line !== undefined) return requests.finish(entry, line);
        await link.ready(holdMs);
      });
      const text = `You are signed in to ${server.host}. Its tools are listed now.`;
      requests.finish(entry, toolTextLine(entry.id, text, false));
    } catch (error) {
      requests.finish(entry, failureLine(entry.id, entry.method, error));
    }
  }

  return {
    canElicit: () => canElicit,
    initialize,
    list,
    signIn,
    greeted(connected) {
      const passedOn = waiting !== undefined && !waiting.entry.done;
      lists.greeted(connected, passedOn);
      if (passedOn && waiting) requests.settle(waiting.entry.id, connected.json, oneLine(connected.text));
    },
    unavailable(error, answer) {
      if (error.code === 'not_signed_in') log.info(`not signed in to ${server.host}`, { reason: error });
      if (answer === undefined) greetLocally();
      else if (waiting && !waiting.entry.done) {
        requests.finish(waiting.entry, oneLine(answer));
      }
    },
  };
}

function showsUrls(request: Request): boolean {
  const { capabilities } = paramsOf(request.json);
  const elicitation = isObject(capabilities) ? capabilities.elicitation : undefined;
  return isObject(elicitation) && isObject(elicitation.url);
}
