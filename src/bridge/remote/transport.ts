import type { HttpClient } from '../../lib/http.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Log } from '../../lib/log.ts';
import type { RemoteSettings } from '../../lib/settings.ts';
import type { Fragment } from '../oversize.ts';
import type { Stop } from '../stop.ts';
import type { Exchange } from './exchange.ts';
import type { Failure } from './failure.ts';

export type TransportKind = 'http' | 'sse';

/** Where a transport puts what comes in. */
export interface RemoteEvents {
  /** One message as it came. */
  message(text: string): void;
  /** A message over the limit; `id` (source text) when the request it answers is known. */
  tooLarge(fragment: Fragment, id?: string): void;
  /** The connection is gone; not called after `close`. */
  dropped(failure: Failure): void;
  /** Settles when more may be read; `undefined`: go on. */
  pressure(): Promise<void> | undefined;
}

export interface RemoteEdges {
  readonly remote: RemoteSettings;
  readonly exchange: Exchange;
  readonly events: RemoteEvents;
  /** The connections that the exchange uses. */
  readonly http: HttpClient;
  /** A clock that never goes back. Milliseconds. */
  readonly now: () => number;
  /** How long `initialize` may take. Milliseconds. */
  readonly greetingMs: number;
  readonly log: Log;
}

/** Makes pings, whose answers are signs of life and nothing else (2025-11-25, basic/utilities/ping). */
export function createPings(): () => string {
  let count = 0;
  return () => `{"jsonrpc":"2.0","id":"mcp-whoami-ping-${++count}","method":"ping"}`;
}

/** One message on its way out. */
export interface Outgoing {
  readonly text: string;
  /** The id's source text of a request; `undefined` for notifications and answers. */
  readonly id?: string | undefined;
  readonly stop?: Stop | undefined;
  /** Whether the answer is still wanted and has not come. */
  waiting?(): boolean;
  /** Bytes have come on the way of its own answer. */
  alive?(): void;
}

/** An open connection to the remote, by one of the transports. */
export interface RemoteTransport {
  readonly kind: TransportKind;
  /** Answers come on one stream, so that its end loses all of them; else each `send` tells its own fate. */
  readonly sharedStream: boolean;
  /**
   * Sends one message. Out: `undefined` when it was delivered (and, where the answer comes back the same way,
   * the answer has come), else the failure.
   */
  send(outgoing: Outgoing): Promise<Failure | undefined>;
  /** After `notifications/initialized`: settles when messages of the server can reach us. */
  listen(): Promise<void>;
  /** When the last sign of life came that counts for what was sent at `sentAt`. Milliseconds, monotonic. */
  lastSign(sentAt: number): number;
  /** Asks for a sign of life. */
  ping(): void;
  /** Ends the connection, and tells the server so where the protocol can (DELETE), for `limitMs` at most. */
  close(limitMs: number): Promise<void>;
}

/** A connection that has answered `initialize`. */
export interface Connected {
  readonly transport: RemoteTransport;
  /** The answer, as it came. */
  readonly text: string;
  readonly json: JsonObject;
}

export type Connect = (
  edges: RemoteEdges,
  /** The `initialize` request, and its id's source text. */
  initialize: { readonly text: string; readonly id: string },
  signal: AbortSignal,
) => Promise<Connected | Failure>;
