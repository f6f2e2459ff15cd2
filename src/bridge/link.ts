import type { AccessTokens } from '../lib/access.ts';
import { AppError, asAppError } from '../lib/errors.ts';
import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { RemoteSettings } from '../lib/settings.ts';
import { type Handshake, ownHandshake, refusal } from './handshake.ts';
import { notificationLine } from './message.ts';
import type { Fragment } from './oversize.ts';
import { connectBy } from './remote/detect.ts';
import { createExchange } from './remote/exchange.ts';
import { type Failure, isFailure, mayPass, notConnected, patienceAfter } from './remote/failure.ts';
import type { Connected, RemoteTransport, TransportKind } from './remote/transport.ts';
import { createTries } from './tries.ts';
import { createWaiters } from './waiters.ts';

/** One connection to the remote, from its `initialize` to its end. */
export interface Session {
  readonly transport: RemoteTransport;
  /** What names this connection beside the messages that come on it. */
  readonly source: object;
}

export interface LinkHandlers {
  /** A message of the server; `from` names the connection that it came on. */
  message(text: string, from: object): void;
  tooLarge(fragment: Fragment, id: string | undefined): void;
  pressure(): Promise<void> | undefined;
  /** The remote has answered `initialize`. */
  greeted(connected: Connected): void;
  /** Requests can be sent. */
  ready(session: Session): void;
  /** A try to connect failed; `answer` is the remote's own refusal of `initialize`, if it gave one. */
  unavailable(error: AppError, answer?: string): void;
  /** The connection is gone. */
  dropped(session: Session, failure: Failure): void;
}

export interface LinkOptions {
  readonly remote: RemoteSettings;
  readonly tokens: AccessTokens;
  readonly http: HttpClient;
  readonly log: Log;
  readonly now: () => number;
  readonly handlers: LinkHandlers;
}

/** The life of the connection to the remote: opened, lost, opened again. */
export interface Link {
  /** The connection, when requests can be sent. */
  readonly session: Session | undefined;
  /** Connects with the client's handshake, by the transport that worked before if it is known. */
  start(handshake: Handshake | undefined, remembered: TransportKind | undefined): void;
  /** The client's `notifications/initialized`, which the remote gets on every connection. */
  initialized(text: string): void;
  /**
   * Waits for the connection, at most `holdMs`; causes a try at once. Throws AppError: why there is none.
   */
  ready(holdMs: number): Promise<Session>;
  /** Settles when there is a connection, when the last try has failed, or after `ms`. */
  settled(ms: number): Promise<void>;
  /** The remote does not answer on `session` any more: connect anew. */
  drop(session: Session, failure: Failure): void;
  /** Whether `session` is still open. */
  stands(session: Session): boolean;
  /** The open connection may be dead: requests wait until it is trusted or dropped. */
  doubt(): Session | undefined;
  trust(session: Session): void;
  close(limitMs: number): Promise<void>;
}

/** `initialize` may wake a sleeping server; one that was awake is not waited for so long. Milliseconds. */
const greetings = { shortMs: 8_000, longMs: 30_000 };
/** A connection that lived shorter than this counts as a failed try for the back-off. Milliseconds. */
const stableMs = 2_000;

export function createLink({ remote, tokens, http, log, now, handlers }: LinkOptions): Link {
  const own = http.fork();
  const exchange = createExchange(remote, tokens, own);
  const closed = new AbortController();
  const waiters = createWaiters<Session>();
  let handshake = ownHandshake;
  let initializedText: string | undefined;
  let kind: TransportKind | undefined;
  let greeted: Session | undefined;
  /** Since when requests can be sent; `undefined`: they cannot. */
  let readyAt: number | undefined;
  let finishing: Session | undefined;
  /** It may be dead: nothing is sent on it until it has shown that it is not. */
  let doubted: Session | undefined;
  let lastError: AppError | undefined;
  let greetingMs = greetings.longMs;

  const tries = createTries({
    now,
    closed: closed.signal,
    async attempt() {
      const failure = await connect();
      // Lost again before it could be used: that is a failed try too.
      if (!failure) return greeted || closed.signal.aborted ? 'over' : 'again';
      lastError = failure.error;
      if (!mayPass(failure)) {
        waiters.reject(failure.error);
        return 'over';
      }
      waiters.tried();
      log.warn(`no connection to ${remote.server.host}, trying again`, { reason: failure.error });
      return 'again';
    },
  });

  async function connect(): Promise<Failure | undefined> {
    const state: { dropped?: Failure; session?: Session } = {};
    const events = {
      message: (text: string) => handlers.message(text, state),
      tooLarge: handlers.tooLarge,
      pressure: handlers.pressure,
      dropped: (failure: Failure) => {
        state.dropped = failure;
        if (state.session) drop(state.session, failure);
      },
    };
    const edges = { remote, exchange, events, http: own, now, greetingMs, log };
    const result = await connectBy(kind)(edges, handshake, closed.signal);
    greetingMs = isFailure(result) ? Math.min(greetingMs * 2, greetings.longMs) : greetings.shortMs;
    if (isFailure(result)) {
      handlers.unavailable(result.error);
      return result;
    }
    if (result.json.error !== undefined) return refused(result);
    const { transport } = result;
    const session: Session = { transport, source: state };
    state.session = session;
    if (closed.signal.aborted) {
      await transport.close(0);
      return undefined;
    }
    kind = transport.kind;
    greeted = session;
    log.debug(`connected to ${remote.server.host}`, { transport: kind });
    handlers.greeted(result);
    if (state.dropped) return dropNow(session, state.dropped);
    return initializedText === undefined && waiters.size === 0 ? undefined : finish(session);
  }

  /** The second half of the handshake (lifecycle, "initialization"). */
  async function finish(session: Session): Promise<Failure | undefined> {
    initializedText ??= notificationLine('notifications/initialized');
    const failure = await session.transport.send({ text: initializedText });
    if (greeted !== session) return undefined;
    if (failure) return dropNow(session, failure);
    await session.transport.listen();
    if (greeted !== session) return undefined;
    readyAt = now();
    if (lastError) log.info(`connected to ${remote.server.host}`);
    lastError = undefined;
    waiters.resolve(session);
    handlers.ready(session);
    return undefined;
  }

  async function refused({ transport, text, json }: Connected): Promise<Failure> {
    await transport.close(0);
    const failure = refusal(remote.server, json);
    handlers.unavailable(failure.error, text);
    return failure;
  }

  function dropNow(session: Session, failure: Failure): Failure {
    if (readyAt !== undefined && now() - readyAt >= stableMs) tries.steady();
    [greeted, readyAt, doubted] = [undefined, undefined, undefined];
    void session.transport.close(0);
    own.retire();
    handlers.dropped(session, failure);
    return failure;
  }

  function drop(session: Session, failure: Failure): void {
    if (greeted !== session) return;
    dropNow(session, failure);
    lastError = failure.reason === 'session' ? undefined : failure.error;
    const say = failure.reason === 'session' ? log.info : log.warn;
    say(`lost the connection to ${remote.server.host}`, { reason: failure.error });
    if (!closed.signal.aborted && failure.reason !== 'auth') void tries.start();
  }

  function ready(holdMs: number): Promise<Session> {
    if (greeted && readyAt !== undefined && !doubted) return Promise.resolve(greeted);
    if (closed.signal.aborted) return Promise.reject(new AppError('cancelled', 'the bridge is closing'));
    const ms = patienceAfter(lastError, holdMs);
    const result = waiters.wait(ms, () => notConnected(remote.server, lastError, ms));
    tries.hurry();
    if (tries.running || doubted) return result;
    // A client that asks without having said `initialized` is served all the same.
    if (greeted) void finishLate(greeted);
    else void tries.start();
    return result;
  }

  async function finishLate(session: Session): Promise<void> {
    if (finishing === session || readyAt !== undefined) return;
    finishing = session;
    const failure = await finish(session);
    if (failure && !closed.signal.aborted) await tries.start();
  }

  return {
    get session() {
      return readyAt === undefined || doubted ? undefined : greeted;
    },
    start(given, remembered) {
      handshake = given ?? handshake;
      kind ??= remembered;
      if (!greeted) void tries.start();
    },
    initialized(text) {
      if (initializedText !== undefined) return;
      initializedText = text;
      if (greeted && !tries.running) void finishLate(greeted);
    },
    ready,
    settled(ms) {
      if (readyAt !== undefined || lastError || closed.signal.aborted || ms <= 0) return Promise.resolve();
      if (!greeted) void tries.start();
      return waiters.news(ms);
    },
    drop,
    stands: (session) => greeted === session,
    doubt() {
      if (readyAt !== undefined) doubted = greeted;
      return doubted;
    },
    trust(session) {
      if (doubted !== session) return;
      doubted = undefined;
      waiters.resolve(session);
    },
    async close(limitMs) {
      const session = greeted;
      closed.abort();
      [greeted, readyAt] = [undefined, undefined];
      waiters.reject(new AppError('cancelled', 'the bridge is closing'));
      own.retire();
      await session?.transport.close(limitMs).catch((error: unknown) => {
        log.debug('the session could not be ended', { reason: asAppError(error) });
      });
    },
  };
}
