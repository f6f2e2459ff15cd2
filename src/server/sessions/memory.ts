import type { Log } from '../../lib/log.ts';
import type { Session, Sessions, Stream } from './sessions.ts';

const maxPerUser = 50;
const maxUnsent = 1024 * 1024;
/** Times in milliseconds. */
const idleLimit = 30 * 60_000;
const ageLimit = 12 * 60 * 60_000;
const afterExpiry = 60_000;
const endBatch = 100;
const endPause = 25;

interface Held extends Session {
  readonly stream: Stream;
  readonly user: string;
  readonly openedAt: number;
  usedAt: number;
  /** Latest expiry of a token seen. Milliseconds since the epoch. */
  expiresAt: number;
}

export interface MemorySessionsOptions {
  readonly maxSessions: number;
  /** Without authentication everybody is the same user, and no user has a share. */
  readonly sharePerUser: boolean;
  readonly log: Log;
  readonly now: () => number;
}

/** Sessions of this process. A record is small: nothing of the request is in it. */
export function createMemorySessions(options: MemorySessionsOptions): Sessions {
  const { maxSessions, sharePerUser, log, now } = options;
  const byId = new Map<string, Held>();
  const byUser = new Map<string, Held[]>();

  function remove(id: string): void {
    const held = byId.get(id);
    if (!held) return;
    byId.delete(id);
    const others = byUser.get(held.user)?.filter((other) => other !== held) ?? [];
    if (others.length > 0) byUser.set(held.user, others);
    else byUser.delete(held.user);
  }

  function finish(held: Held, reason: string): void {
    remove(held.stream.id);
    log.info('stream ended', { reason });
    held.stream.end();
  }

  /** Out: false when the client takes nothing and has been cut off. */
  function keepsUp({ stream }: Held): boolean {
    if (stream.unsent() <= maxUnsent) return true;
    remove(stream.id);
    log.info('stream cut', { reason: 'the client does not read', unsent: stream.unsent() });
    stream.cut();
    return false;
  }

  function whyOver(held: Held, at: number): string | undefined {
    if (at >= held.expiresAt + afterExpiry) return 'its token expired';
    if (at - held.usedAt >= idleLimit) return 'idle';
    return at - held.openedAt >= ageLimit ? 'open for 12 h' : undefined;
  }

  function hold(stream: Stream, user: string, expiry: number | undefined): Held {
    const at = now();
    const held: Held = {
      stream,
      user,
      openedAt: at,
      usedAt: at,
      expiresAt: expiry === undefined ? Number.POSITIVE_INFINITY : expiry * 1000,
      revision: undefined,
      deliver(message) {
        stream.deliver(message);
        keepsUp(held);
      },
      used(expiresAt, counts) {
        if (counts) held.usedAt = now();
        if (expiresAt === undefined) return;
        const known = held.expiresAt === Number.POSITIVE_INFINITY ? 0 : held.expiresAt;
        held.expiresAt = Math.max(known, expiresAt * 1000);
      },
    };
    return held;
  }

  return {
    open(stream, user, expiresAt) {
      const own = byUser.get(user) ?? [];
      if (sharePerUser && own.length >= maxPerUser) {
        finish(
          own.reduce((a, b) => (b.usedAt < a.usedAt ? b : a)),
          `${maxPerUser} streams a user`,
        );
      } else if (byId.size >= maxSessions) return false;
      const held = hold(stream, user, expiresAt);
      byId.set(stream.id, held);
      if (sharePerUser) byUser.set(user, [...(byUser.get(user) ?? []), held]);
      return true;
    },
    find(id, user) {
      const held = byId.get(id);
      return held?.user === user ? held : undefined;
    },
    closed: remove,
    tend() {
      const at = now();
      for (const held of byId.values()) {
        const over = whyOver(held, at);
        if (!held.stream.isOpen()) remove(held.stream.id);
        else if (over) finish(held, over);
        else if (keepsUp(held)) held.stream.comment('ping');
      }
    },
    async endAll() {
      let ended = 0;
      for (const held of [...byId.values()]) {
        remove(held.stream.id);
        held.stream.end();
        if (++ended % endBatch === 0) {
          await new Promise((resolve) => setTimeout(resolve, endPause * (0.5 + Math.random())));
        }
      }
    },
    size: () => byId.size,
  };
}
