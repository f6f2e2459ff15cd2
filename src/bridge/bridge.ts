import type { Readable, Writable } from 'node:stream';
import type { AccessTokens, SignIn } from '../lib/access.ts';
import { AppError } from '../lib/errors.ts';
import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { RemoteSettings } from '../lib/settings.ts';
import { createBacklog } from './backlog.ts';
import { createCarrier } from './carrier.ts';
import type { CatalogueStore } from './catalogue.ts';
import { createClientAsks } from './client-asks.ts';
import { createDeferred, pause } from './deferred.ts';
import { createGreeter } from './greeter.ts';
import { createLink } from './link.ts';
import { createLists } from './lists.ts';
import { createLiveness } from './liveness.ts';
import { createLines, readLines } from './local.ts';
import { createRelay } from './relay.ts';
import { createRenewals } from './renewals.ts';
import { createRepeatable } from './repeatable.ts';
import { createRequests } from './requests.ts';
import { createSignInDesk } from './sign-in.ts';
import { defaultTiming, type Timing } from './timing.ts';

export interface BridgeOptions {
  /** MCP over stdio: the client's messages, one a line. */
  readonly input: Readable;
  /** MCP messages for the client, one a line, and nothing else. */
  readonly output: Writable;
  readonly remote: RemoteSettings;
  readonly tokens: AccessTokens;
  /** `undefined`: no sign-in is started from here (`--login never`, a token given by hand). */
  readonly signIn: SignIn | undefined;
  /** The line to type, such as `mcp-whoami login https://…`. */
  readonly signInHint: string;
  readonly catalogue: CatalogueStore;
  readonly http: HttpClient;
  readonly log: Log;
  /** A clock that never goes back. Milliseconds. */
  readonly now?: () => number;
  /** The clock of the wall, which goes on while the machine sleeps. Milliseconds. */
  readonly wall?: () => number;
  readonly timing?: Partial<Timing>;
}

export interface Bridge {
  /** Settles when the bridge has ended: its input ended, its output broke, or `close` was called. */
  readonly closed: Promise<void>;
  /** Answers what is pending with an error, ends the session at the server: within 1 s. */
  close(reason: string): Promise<void>;
}

/** What the client sent and the server has not answered may take so many times the largest message. */
const backlogMessages = 4;
/** For the last lines. Milliseconds. */
const flushMs = 100;

/** Starts the bridge. It answers and waits by itself from now on; nothing is thrown. */
export function openBridge(options: BridgeOptions): Bridge {
  const { input, output, remote, log } = options;
  const { server } = remote;
  const now = options.now ?? (() => performance.now());
  const timing = { ...defaultTiming, ...options.timing };
  const closed = createDeferred();
  let closing: Promise<void> | undefined;

  const lines = createLines(output, () => void end('the client has gone', 0));
  const tell = lines.write;
  const backlog = createBacklog(
    backlogMessages * remote.maxMessageBytes,
    () => reader.pause(),
    () => reader.resume(),
  );
  const requests = createRequests(now, backlog);
  const asks = createClientAsks(tell);
  const desk = createSignInDesk({
    server,
    signIn: options.signIn,
    hint: options.signInHint,
    timing,
    log,
    now,
    canElicit: () => greeter.canElicit(),
    ask: asks.ask,
    tell,
    signedIn: () => void link.ready(timing.holdMs).catch(() => {}),
  });
  const link = createLink({
    remote,
    tokens: options.tokens,
    http: options.http,
    log,
    now,
    handlers: {
      message: (text, session) => relay.fromRemote(text, session),
      tooLarge: (fragment, id) => relay.remoteTooLarge(fragment, id),
      pressure: lines.pressure,
      greeted: (connected) => greeter.greeted(connected),
      ready() {
        renewals.renew();
        void lists.refresh();
      },
      unavailable: (error, answer) => greeter.unavailable(error, answer),
      dropped(session, failure) {
        relay.forget(session.source);
        carrier.lose(session, failure);
      },
    },
  });
  const carrier = createCarrier({
    server,
    link,
    requests,
    desk,
    log,
    now,
    timeoutMs: remote.timeoutMs,
    backlog,
    timing,
    mayRepeat: createRepeatable(() => lists.saved('tools/list')),
  });
  const renewals = createRenewals(carrier.request);
  const liveness = createLiveness({
    server,
    requests,
    link,
    carrier,
    log,
    now,
    wall: options.wall ?? Date.now,
    stalled: () => lines.pressure() !== undefined,
  });
  const lists = createLists({ server, store: options.catalogue, log, request: carrier.request, tell });
  const greeter = createGreeter({
    server,
    link,
    lists,
    requests,
    carrier,
    desk,
    log,
    now,
    tell,
    timing,
  });
  const tooLarge = (sender: 'client' | 'remote') => {
    const megabytes = Math.round((remote.maxMessageBytes / 1024 / 1024) * 10) / 10;
    const whose = sender === 'client' ? 'this message' : `the answer of ${server.host}`;
    return new AppError('too_large', `${whose} is larger than ${megabytes} MB`, {
      hint: 'allow more with --max-message',
    });
  };
  const relay = createRelay({
    server,
    requests,
    carrier,
    asks,
    greeter,
    link,
    lists,
    renewals,
    log,
    tell,
    tooLarge,
  });

  const reader = readLines(input, remote.maxMessageBytes, {
    line: relay.fromClient,
    tooLarge: relay.clientTooLarge,
    end: () => void end('the client has gone', timing.graceMs),
  });

  function end(reason: string, grace: number): Promise<void> {
    closing ??= endNow(reason, grace);
    return closing;
  }

  async function endNow(reason: string, grace: number): Promise<void> {
    reader.stop();
    // Waits that came second would hold the process back.
    const over = new AbortController();
    const atMost = (ms: number) => pause(ms, over.signal);
    if (grace > 0) await Promise.race([requests.idle(), atMost(grace)]);
    const error = new AppError('cancelled', reason);
    for (const entry of requests.all()) carrier.fail(entry, error);
    carrier.stop();
    liveness.stop();
    desk.leave();
    await Promise.race([link.close(timing.farewellMs), atMost(timing.farewellMs)]);
    await Promise.race([lines.flushed(), atMost(flushMs)]);
    over.abort();
    closed.resolve();
  }

  return { closed: closed.promise, close: (reason) => end(reason, 0) };
}
