import type { SecureContext } from 'node:tls';
import { createClient } from '@redis/client';
import { AppError, asAppError, reasonOf } from '../../../lib/errors.ts';
import type { Secret } from '../../../lib/secret.ts';

/** Times in milliseconds. */
const connectLimit = 2_000;
const commandLimit = 500;
/** A connection on which a command has been late for so long more is given up. */
const lateLimit = 3_000;
const firstPause = 50;
/** Everybody who can has connected again after this. */
export const longestPause = 500;
/** Commands that wait for their reply. */
const maxWaiting = 20_000;

/** One connection to Redis, which is made again whenever it is lost. */
export interface Connection {
  /** False: commands fail at once, and nothing is sent. */
  isUp(): boolean;
  /** Connected, but a command waits for its reply for too long. */
  isLate(): boolean;
  /**
   * Sends one command; those sent in one turn leave together, in their order. Rejects with AppError
   * `server_unreachable` or `timeout`, or `remote_error` when Redis refuses it. Nothing is ever kept for later.
   */
  send(command: readonly string[], limitMs?: number): Promise<unknown>;
  close(): void;
}

export interface ConnectionOptions {
  readonly url: Secret;
  /** What to trust over `rediss://`; default: what Node trusts. */
  readonly secureContext?: SecureContext | undefined;
  /** It can be used, now for the first time or again. `first`: it came up at the first try. */
  readonly onUp: (first: boolean) => void;
  /** It cannot: lost, or not to be had. Told once for each time. */
  readonly onDown?: (reason: string) => void;
}

type Client = ReturnType<typeof createOne>;

export function openConnection({ url, secureContext, onUp, onDown }: ConnectionOptions): Connection {
  let current: Client | undefined;
  let closed = false;
  let waiting = 0;
  let late = 0;
  let wake = () => {};

  async function keep(): Promise<void> {
    let tries = 0;
    let known = true;
    while (!closed) {
      const client = createOne(url, secureContext);
      const lost = new Promise<unknown>((resolve) => {
        client.on('error', resolve);
        client.on('end', resolve);
      });
      let reason: unknown;
      try {
        await client.connect();
        current = client;
        late = 0;
        onUp(tries === 0 && known);
        tries = 0;
        known = true;
        reason = await lost;
      } catch (error) {
        reason = error;
      }
      current = undefined;
      client.destroy();
      if (closed) return;
      if (known) onDown?.(reasonOf(reason));
      known = false;
      await pause(tries++);
    }
  }

  function pause(tries: number): Promise<void> {
    const ms = Math.min(longestPause, firstPause * 2 ** Math.min(tries, 10));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms * (0.75 + Math.random() * 0.25));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function send(command: readonly string[], limitMs = commandLimit): Promise<unknown> {
    const client = current;
    if (!client || late > 0 || waiting >= maxWaiting) {
      return Promise.reject(new AppError('server_unreachable', 'Redis is away'));
    }
    waiting++;
    return new Promise((resolve, reject) => {
      let isLate = false;
      let timer = setTimeout(() => setImmediate(expire), limitMs);
      // Behind what has arrived: after a pause of our own the reply may have been waiting longer than we have.
      function expire(): void {
        if (settled) return;
        isLate = true;
        late++;
        timer = setTimeout(() => client?.destroy(), lateLimit).unref();
        reject(new AppError('timeout', `Redis did not answer within ${limitMs} ms`));
      }
      let settled = false;
      const settle = () => {
        settled = true;
        waiting--;
        clearTimeout(timer);
        if (isLate && client === current) late--;
      };
      client.sendCommand(command).then(
        (reply) => {
          settle();
          resolve(reply);
        },
        (error: unknown) => {
          settle();
          reject(asAppError(error, 'remote_error'));
        },
      );
    });
  }

  void keep();
  return {
    isUp: () => current !== undefined && late === 0,
    isLate: () => current !== undefined && late > 0,
    send,
    close() {
      closed = true;
      wake();
      current?.destroy();
    },
  };
}

/** One client for one connection: its own way of connecting again would send old commands behind our back. */
function createOne(url: Secret, secureContext: SecureContext | undefined) {
  const socket = { connectTimeout: connectLimit, reconnectStrategy: false } as const;
  const isSecure = new URL(url.reveal()).protocol === 'rediss:';
  return createClient({
    url: url.reveal(),
    RESP: 2,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
    commandOptions: { timeout: 0 },
    socket: isSecure && secureContext ? { ...socket, tls: true, secureContext } : socket,
  });
}
