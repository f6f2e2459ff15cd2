import { randomUUID } from 'node:crypto';
import { AppError, asAppError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import type { Backlog } from './backlog.ts';
import { pause } from './deferred.ts';
import { failureLine } from './errors.ts';
import type { Link, Session } from './link.ts';
import type { Answer } from './lists.ts';
import { notificationLine } from './message.ts';
import type { Failure } from './remote/failure.ts';
import { lost } from './remote/failure.ts';
import type { InFlight, NewRequest, Requests } from './requests.ts';
import { nextStep, signInHelps } from './resend.ts';
import type { SignInDesk } from './sign-in.ts';
import type { Timing } from './timing.ts';

const sweepMs = 1_000;

export interface CarrierOptions {
  readonly server: URL;
  readonly link: Link;
  readonly requests: Requests;
  readonly desk: SignInDesk;
  readonly log: Log;
  readonly now: () => number;
  /** The longest silent request. Milliseconds. */
  readonly timeoutMs: number;
  readonly timing: Pick<Timing, 'holdMs'>;
  /** Whether nothing happens twice when a request runs twice. */
  mayRepeat?(method: string, json: JsonObject): boolean;
  readonly backlog?: Backlog;
}

/** Brings messages to the remote, and sees each request through to its one answer. */
export interface Carrier {
  /** Enters a request into the table and carries it; `undefined` when its id is in flight already. */
  carry(request: NewRequest): InFlight | undefined;
  /** Carries a request that is in the table. Settles when no more can be done for it. */
  see(entry: InFlight): Promise<void>;
  /** Answers a request with the error, or with what is better than that. */
  fail(entry: InFlight, error: AppError): void;
  /** The connection is gone: fails the requests whose answers went with it. */
  lose(session: Session, failure: Failure): void;
  /** No answer will come to this request where it was sent: once more if it may run twice, or an error. */
  giveUp(entry: InFlight): void;
  /** A notification or an answer: held while there is no connection, dropped when there is none in time. */
  pass(text: string): Promise<void>;
  /** A request of the bridge's own. `undefined`: no answer, or an error. */
  request(method: string, params: JsonObject): Promise<Answer | undefined>;
  /** The client does not want the answer any more. */
  cancel(id: string, notification: string): void;
  stop(): void;
}

export function createCarrier(options: CarrierOptions): Carrier {
  const { server, link, requests, desk, log, now, timeoutMs, backlog } = options;
  const { holdMs } = options.timing;
  const prefix = `mcp-whoami-${randomUUID()}`;
  let count = 0;

  async function see(entry: InFlight): Promise<void> {
    let deadline = now() + holdMs;
    let waitedMs = 0;
    let signIns = 0;
    for (let tries = 1; !entry.done; tries++) {
      let session = link.session;
      if (!session) {
        try {
          session = await link.ready(Math.max(1, deadline - now()));
        } catch (thrown) {
          const error = asAppError(thrown);
          if (!signInHelps(error, signIns++) || !(await signedIn(entry, error))) return fail(entry, error);
          // The person's time is not the connection's.
          deadline = now() + holdMs;
          continue;
        }
        if (entry.done) return;
      }
      entry.session = session;
      entry.touchedAt = now();
      entry.sentAt = entry.touchedAt;
      const { text, id, stop } = entry;
      const failure = await session.transport.send({
        text,
        id,
        stop,
        waiting: () => !entry.done,
        alive: () => {
          entry.aliveAt = now();
        },
      });
      if (entry.done) return;
      if (!failure) {
        entry.delivered = true;
        // What its answer should have come on went away in the meantime.
        if (session.transport.sharedStream && !link.stands(session)) comeBack(entry);
        return;
      }
      entry.session = undefined;
      const step = nextStep(failure, { tries, signIns, waitedMs, repeatable: repeatable(entry) });
      if (step.do === 'fail') return fail(entry, step.error);
      log.debug('a request is sent again', { method: entry.method, after: failure.reason });
      if (step.do === 'reconnect') link.drop(session, failure);
      else if (step.do === 'sign_in') {
        signIns++;
        await signedIn(entry, step.error);
        deadline = now() + holdMs;
      } else {
        if (step.do === 'wait') waitedMs += step.ms;
        else entry.repeated = true;
        deadline = now() + step.ms + holdMs;
        await pause(step.ms, stop.signal);
      }
    }
  }

  const repeatable = ({ method, json, repeated }: InFlight) =>
    !repeated && (options.mayRepeat?.(method, json) ?? false);

  /** The stream that its answer should have come on is gone: on the next one once more, or an error. */
  function comeBack(entry: InFlight): void {
    if (!repeatable(entry)) {
      fail(entry, lost(server).error);
      return;
    }
    log.debug('a request is sent again', { method: entry.method, after: 'lost' });
    entry.repeated = true;
    entry.session = undefined;
    entry.delivered = false;
    void see(entry);
  }

  function fail(entry: InFlight, error: AppError): void {
    if (!entry.done) requests.finish(entry, entry.instead?.() ?? failureLine(entry.id, entry.method, error));
  }

  function lose(session: Session, failure: Failure): void {
    // A server that has only forgotten the session still says of each open POST whether it took it.
    const knows = failure.reason === 'session';
    for (const entry of requests.all()) {
      if (entry.session !== session) continue;
      if (entry.delivered || (session.transport.sharedStream && !knows)) giveUp(entry);
    }
  }

  /** No answer will come on the connection that carries it. */
  function giveUp(entry: InFlight): void {
    if (entry.delivered) comeBack(entry);
    else entry.stop.breakOff();
  }

  /** True when the call may be sent now; else it has been answered. */
  async function signedIn(entry: InFlight, error: AppError): Promise<boolean> {
    if (entry.method !== 'tools/call') {
      fail(entry, error);
      return false;
    }
    const line = await desk.attend(entry, error);
    if (line !== undefined) requests.finish(entry, line);
    return line === undefined;
  }

  function carry(request: NewRequest): InFlight | undefined {
    const entry = requests.open(request);
    if (entry) void see(entry);
    return entry;
  }

  async function pass(text: string): Promise<void> {
    backlog?.add(text.length);
    try {
      const session = link.session ?? (await link.ready(holdMs));
      await deliver(session, text);
    } catch (error) {
      log.debug('a notification was dropped', { reason: asAppError(error) });
    } finally {
      backlog?.remove(text.length);
    }
  }

  async function deliver(session: Session, text: string): Promise<void> {
    const failure = await session.transport.send({ text });
    if (failure?.reason === 'session' || failure?.reason === 'unreachable') link.drop(session, failure);
    if (failure) log.debug('a notification was not delivered', { reason: failure.error });
  }

  function request(method: string, params: JsonObject): Promise<Answer | undefined> {
    count++;
    const json = { jsonrpc: '2.0', id: `${prefix}-${count}`, method, params };
    return new Promise((resolve) => {
      carry({
        id: JSON.stringify(json.id),
        method,
        json,
        text: JSON.stringify(json),
        answerTo: (text, answer) =>
          resolve(answer?.result === undefined ? undefined : { json: answer, text }),
      });
    });
  }

  function cancel(id: string, notification: string): void {
    const entry = requests.cancel(id);
    if (!entry) return;
    const session = entry.session as Session | undefined;
    // The server hears of it first, and only then does its stream end.
    const told = session ? deliver(session, notification) : Promise.resolve();
    void told.finally(() => entry.stop.stop());
  }

  const timer = setInterval(() => {
    for (const entry of requests.all()) {
      if (entry.session === undefined || now() - entry.touchedAt < timeoutMs) continue;
      const { session } = entry;
      fail(entry, silent(server, timeoutMs));
      const params = { requestId: entry.json.id, reason: 'no answer in time' };
      void deliver(session as Session, notificationLine('notifications/cancelled', params));
    }
  }, sweepMs);
  timer.unref();

  return { carry, see, fail, lose, giveUp, pass, request, cancel, stop: () => clearInterval(timer) };
}

function silent(server: URL, ms: number): AppError {
  const message = `${server.host} has sent nothing for ${Math.round(ms / 1000)} s; the request may have run`;
  return new AppError('timeout', message, {
    hint: 'check its effect before you repeat it, or allow more with --timeout',
  });
}
