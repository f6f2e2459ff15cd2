import type { RpcAnswer } from '../mcp/messages.ts';

/** What one POST to a session came to. */
export interface Outcome {
  /** The answers to the requests in it, in their order. */
  readonly answers: readonly RpcAnswer[];
  /** The revision that an `initialize` in it settled on. */
  readonly negotiated: string | undefined;
  /** Whether anything but `ping` was in it: pings do not keep a session in use. */
  readonly counts: boolean;
  /** Expiry of the token that came with it. Seconds since the epoch. */
  readonly expiresAt: number | undefined;
}

/** One HTTP+SSE session as its POSTs see it, wherever its stream is. */
export interface Session {
  /** The revision its `initialize` settled on. */
  readonly revision: string | undefined;
  /**
   * Brings the outcome of a POST to the stream. Calls `accepted` once, as soon as this process may die without
   * the answers being lost with it; where the stream is our own, before anything is sent on it.
   */
  take(outcome: Outcome, accepted: () => void): void | Promise<void>;
}

/** What the store needs of a stream it looks after. */
export interface Stream {
  readonly id: string;
  /** Sends one message. */
  deliver(message: RpcAnswer): void;
  /** Bytes the client has not taken yet. */
  unsent(): number;
  /** A comment, the sign of life. */
  comment(text: string): void;
  isOpen(): boolean;
  /** Ends the stream, after a last comment. */
  end(): void;
  /** Cuts the connection. */
  cut(): void;
}

/**
 * The session, nothing where there is none, `foreign` where it is another user's (who asks is told that there is
 * none), or `away` where what the replicas share cannot be
 * asked: then nobody knows, and nothing may run.
 */
export type Found = Session | 'foreign' | 'away' | undefined;

/** What several replicas share, as a probe may see it. */
export interface SharedState {
  readonly connected: boolean;
  /** Answers for streams of other replicas that those have not acknowledged. */
  readonly unacknowledged: number;
  /** How old the last answer from another replica was when it was taken, by Redis's clock. Milliseconds. */
  readonly inboxLagMs: number;
}

/** The open HTTP+SSE sessions: of this process (`memory.ts`), or of all replicas (`redis/`). */
export interface Sessions {
  /** Takes a stream in for a user. Out: false when the server is full. */
  open(stream: Stream, user: string, expiresAt: number | undefined): boolean | Promise<boolean>;
  /** The session of that id, if it belongs to that user: to everybody else it does not exist. */
  find(id: string, user: string): Found | Promise<Found>;
  /** The stream is gone. */
  closed(id: string): void;
  /** Sends signs of life, and ends what has been idle, open or expired for too long. Call it every few seconds. */
  tend(): void;
  /** Ends all streams, a few at a time, so that their clients do not all come back at once. */
  endAll(): Promise<void>;
  /** Streams of this process. */
  size(): number;
  /** Age of the oldest of them; 0 where there is none. Milliseconds. */
  oldestMs(): number;
  /** `undefined` where nothing is shared. */
  shared(): SharedState | undefined;
}
