import type { Log } from '../lib/log.ts';
import type { Carrier } from './carrier.ts';
import type { Link, Session } from './link.ts';
import { lost } from './remote/failure.ts';
import type { Requests } from './requests.ts';

export interface LivenessOptions {
  readonly server: URL;
  readonly requests: Pick<Requests, 'all'>;
  readonly link: Pick<Link, 'doubt' | 'trust' | 'drop' | 'stands'>;
  readonly carrier: Pick<Carrier, 'giveUp'>;
  readonly log: Log;
  /** A clock that never goes back, and that of the wall. Milliseconds. */
  readonly now: () => number;
  readonly wall: () => number;
  /** The client does not read, and so we do not read from the server either. */
  stalled(): boolean;
}

/** Notices connections that are open and dead (sleep, NAT, VPN), and says so of what they carry. */
export interface Liveness {
  /** Looks at the clocks and the connections. Called by itself every second. */
  look(): void;
  stop(): void;
}

const everyMs = 1_000;
/** While something is in flight: so long without a sign of life, then a ping; so long, then it is dead. Milliseconds. */
const pingMs = 3_000;
const deadMs = 12_000;
/** After a sleep, a sign of life has to come within this time. Milliseconds. */
const wakeMs = 4_000;
/** A clock that jumped so far, or a timer so late: this process, or the machine, was asleep. Milliseconds. */
const sleepMs = 30_000;

export function createLiveness(options: LivenessOptions): Liveness {
  const { server, requests, link, carrier, log, now, wall } = options;
  let last = { now: now(), wall: wall() };
  /** Silence before this moment counts for nothing: we could not listen. */
  let since = last.now;
  let doubted: { readonly session: Session; readonly at: number } | undefined;

  function look(): void {
    const passed = { now: now() - last.now, wall: wall() - last.wall };
    last = { now: now(), wall: wall() };
    const late = passed.now - everyMs;
    if (passed.wall - passed.now > sleepMs || late > sleepMs) wakeUp(Math.max(passed.wall, passed.now));
    else if (late > everyMs || options.stalled()) since = last.now;
    if (doubted) settleDoubt(doubted.session, doubted.at);
    listen();
  }

  function wakeUp(asleepMs: number): void {
    log.info('this machine or process was asleep, the connection is checked', {
      seconds: Math.round(asleepMs / 1000),
    });
    since = last.now - deadMs + wakeMs;
    const session = link.doubt();
    if (!session) return;
    // What has lain in the socket since before the sleep is read first: it is no sign of life.
    setImmediate(() => {
      doubted = { session, at: now() };
      session.transport.ping();
    });
  }

  function settleDoubt(session: Session, at: number): void {
    if (session.transport.lastSign(at) > at) link.trust(session);
    else if (last.now - at >= wakeMs) link.drop(session, lost(server));
    else if (link.stands(session)) return;
    doubted = undefined;
  }

  function listen(): void {
    const quiet = new Set<Session>();
    for (const entry of requests.all()) {
      const session = entry.session as Session | undefined;
      if (!session) continue;
      const { transport } = session;
      const sign = Math.max(entry.sentAt, entry.aliveAt, transport.lastSign(entry.sentAt), since);
      const silentMs = last.now - sign;
      if (silentMs >= pingMs) quiet.add(session);
      if (silentMs < deadMs) continue;
      log.warn(`${server.host} gives no sign of life`, { seconds: Math.round(silentMs / 1000) });
      link.drop(session, lost(server));
      // Where all answers come on one stream, its end has seen to that.
      if (entry.session === session) carrier.giveUp(entry);
    }
    for (const session of quiet) if (link.stands(session)) session.transport.ping();
  }

  const timer = setInterval(look, everyMs);
  timer.unref();
  return { look, stop: () => clearInterval(timer) };
}
