import type { RpcAnswer } from '../mcp/messages.ts';

/** The client's end of an open HTTP+SSE stream, wherever it is. */
export interface Outlet {
  /** Sends one message. One that the client does not take fast enough costs it the stream. */
  deliver(message: RpcAnswer): void;
}

/** One HTTP+SSE session as its POSTs see it. */
export interface Session extends Outlet {
  /** The revision its `initialize` settled on. */
  revision: string | undefined;
  /** Notes a POST: `expiresAt` of its token (seconds since the epoch), and whether it was more than a ping. */
  used(expiresAt: number | undefined, counts: boolean): void;
}

/** What the store needs of a stream it looks after. */
export interface Stream extends Outlet {
  readonly id: string;
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
 * The open HTTP+SSE sessions. In memory here; several replicas share them through a store of the same shape,
 * which is why finding one may take time.
 */
export interface Sessions {
  /** Takes a stream in for a user. Out: false when the server is full. */
  open(stream: Stream, user: string, expiresAt: number | undefined): boolean;
  /** The session of that id, if it belongs to that user: to everybody else it does not exist. */
  find(id: string, user: string): Session | undefined | Promise<Session | undefined>;
  /** The stream is gone. */
  closed(id: string): void;
  /** Sends signs of life, and ends what has been idle, open or expired for too long. Call it every few seconds. */
  tend(): void;
  /** Ends all streams, a few at a time, so that their clients do not all come back at once. */
  endAll(): Promise<void>;
  size(): number;
}
