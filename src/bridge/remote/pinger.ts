import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpClient } from '../../lib/http.ts';
import { type Failure, isFailure } from './failure.ts';
import { createWitness } from './witness.ts';

export interface PingerOptions {
  /** The connections of the calls. */
  readonly http: HttpClient;
  readonly now: () => number;
  /** Whether something is in flight. */
  busy(): boolean;
  /** Sends a ping on `lane`; `connected` hears which connection it took, and whether that was there before. */
  send(
    lane: HttpClient,
    connected: (socket: Socket, reused: boolean) => void,
  ): Promise<IncomingMessage | Failure>;
}

/**
 * Pings over a kept-alive connection of their own (Streamable HTTP). Their answers count for a call only when
 * this connection is at least as old as the one that carries the call: so it is opened before the call is sent,
 * and no older connection is used for calls from then on.
 */
export interface Pinger {
  /** Before a request is sent: sees to it that there is a connection. */
  standBy(): void;
  ping(): void;
  lastSign(sentAt: number): number;
  close(): void;
}

/** A server that closes each connection behind its answer is not asked again at once. Milliseconds. */
const shortLivedMs = 1_000;

export function createPinger({ http, now, busy, send }: PingerOptions): Pinger {
  const lane = http.fork({ maxSockets: 1, keepUntilClosed: true });
  const witness = createWitness(now);
  /** There is a connection. */
  let stands = false;
  /** Since the witness was opened there has always been one. */
  let unbroken = false;
  let underWay = false;
  let closed = false;

  function standBy(): void {
    if (stands || underWay) return;
    begin();
    void ping();
  }

  function begin(): void {
    http.retire();
    witness.opened();
    unbroken = true;
  }

  async function ping(): Promise<void> {
    if (underWay || closed) return;
    underWay = true;
    const answer = await send(lane, watch);
    if (isFailure(answer)) {
      // A status is an answer too.
      if (answer.status !== undefined) witness.seen();
      underWay = false;
      return;
    }
    witness.seen();
    answer.once('close', () => {
      underWay = false;
    });
    answer.resume();
  }

  function watch(socket: Socket, reused: boolean): void {
    if (reused) return;
    if (!unbroken) begin();
    const since = now();
    let ended = false;
    stands = true;
    socket.once('end', () => {
      ended = true;
    });
    socket.once('close', (broken: boolean) => {
      stands = false;
      // The server's own end of it is a sign of life, and the next connection goes on from there.
      if (ended && !broken) witness.seen();
      unbroken = !broken && busy();
      if (!unbroken) witness.closed();
      else if (now() - since >= shortLivedMs) void ping();
    });
  }

  return {
    standBy,
    ping: () => void ping(),
    lastSign: witness.lastSign,
    close() {
      closed = true;
      lane.close();
    },
  };
}
