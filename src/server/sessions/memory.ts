import type { Log } from '../../lib/log.ts';
import type { ServerObserver, SessionEnd } from '../events.ts';
import type { Outcome, Session, Sessions, Stream } from './sessions.ts';

/** Streams of one user; the one idle longest makes room for the next. */
export const maxPerUser = 50;
const maxUnsent = 1024 * 1024;
/** Times in milliseconds. */
const idleLimit = 30 * 60_000;
const ageLimit = 12 * 60 * 60_000;
const afterExpiry = 60_000;
/** For the last of an ended stream to be taken. */
const lastWordsLimit = 5_000;
const endBatch = 100;
const endPause = 25;
/** Whoever is left then is ended without a pause, and without a word to other replicas. */
const endLimit = 10_000;

/** What the log says of an end. */
const endTexts: Readonly<Record<SessionEnd, string>> = {
  client: 'the client has left',
  idle: 'idle',
  age: 'open for 12 h',
  token_expired: 'its token expired',
  user_limit: `${maxPerUser} streams a user`,
  slow: 'the client does not read',
  drain: 'the server is about to stop',
};

/** A session whose stream this process holds. */
export interface LocalSession extends Session {
  readonly stream: Stream;
  readonly user: string;
  /** When it was last used. Milliseconds since the epoch. */
  readonly usedAt: number;
}

interface Held extends LocalSession {
  readonly openedAt: number;
  usedAt: number;
  /** Latest expiry of a token seen. Milliseconds since the epoch. */
  expiresAt: number;
  revision: string | undefined;
}

export interface MemorySessions extends Sessions {
  open(stream: Stream, user: string, expiresAt: number | undefined): boolean;
  find(id: string, user: string): LocalSession | 'foreign' | undefined;
  get(id: string): LocalSession | undefined;
  /** Ends one stream. */
  end(session: LocalSession, why: SessionEnd): void;
}

export interface MemorySessionsOptions {
  readonly maxSessions: () => number;
  /** Without authentication everybody is the same user, and no user has a share. */
  readonly sharePerUser: boolean;
  /** Told of each session that is no more. */
  readonly removed?: (session: LocalSession) => void;
  /** Asked before some of many streams are ended at once. */
  readonly leaving?: (sessions: readonly LocalSession[]) => Promise<void>;
  /** Told of each end. */
  readonly observe?: ServerObserver | undefined;
  readonly log: Log;
  readonly now: () => number;
}

/** Sessions of this process. A record is small: nothing of the request is in it. */
export function createMemorySessions(options: MemorySessionsOptions): MemorySessions {
  const { maxSessions, sharePerUser, log, now, observe = () => {} } = options;
  const byId = new Map<string, Held>();
  const byUser = new Map<string, Held[]>();

  function remove(id: string, reason: SessionEnd): void {
    const held = byId.get(id);
    if (!held) return;
    const milliseconds = now() - held.openedAt;
    // All at once, and for a reason that was told before.
    if (reason !== 'drain') {
      log.info('stream ended', { reason: endTexts[reason], seconds: Math.round(milliseconds / 1000) });
    }
    observe({ name: 'session_closed', reason, milliseconds });
    byId.delete(id);
    const others = byUser.get(held.user)?.filter((other) => other !== held) ?? [];
    if (others.length > 0) byUser.set(held.user, others);
    else byUser.delete(held.user);
    options.removed?.(held);
  }

  /** A client that does not read would never see the end, and keep its connection: it is cut off then. */
  function end({ stream }: LocalSession, why: SessionEnd): void {
    remove(stream.id, why);
    stream.end();
    setTimeout(() => stream.cut(), lastWordsLimit).unref();
  }

  /** Out: false when the client takes nothing and has been cut off. */
  function keepsUp({ stream }: Held): boolean {
    if (stream.unsent() <= maxUnsent) return true;
    remove(stream.id, 'slow');
    stream.cut();
    return false;
  }

  function whyOver(held: Held, at: number): SessionEnd | undefined {
    if (at >= held.expiresAt + afterExpiry) return 'token_expired';
    if (at - held.usedAt >= idleLimit) return 'idle';
    return at - held.openedAt >= ageLimit ? 'age' : undefined;
  }

  function note(held: Held, { negotiated, counts, expiresAt }: Outcome): void {
    if (negotiated) held.revision = negotiated;
    if (counts) held.usedAt = now();
    if (expiresAt === undefined) return;
    const known = held.expiresAt === Number.POSITIVE_INFINITY ? 0 : held.expiresAt;
    held.expiresAt = Math.max(known, expiresAt * 1000);
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
      take(outcome, accepted) {
        note(held, outcome);
        accepted();
        for (const message of outcome.answers) stream.deliver(message);
        keepsUp(held);
      },
    };
    return held;
  }

  return {
    open(stream, user, expiresAt) {
      const own = byUser.get(user) ?? [];
      if (sharePerUser && own.length >= maxPerUser) {
        end(
          own.reduce((a, b) => (b.usedAt < a.usedAt ? b : a)),
          'user_limit',
        );
      } else if (byId.size >= maxSessions()) return false;
      const held = hold(stream, user, expiresAt);
      byId.set(stream.id, held);
      if (sharePerUser) byUser.set(user, [...(byUser.get(user) ?? []), held]);
      return true;
    },
    find(id, user) {
      const held = byId.get(id);
      return !held || held.user === user ? held : 'foreign';
    },
    get: (id) => byId.get(id),
    end,
    closed: (id) => remove(id, 'client'),
    tend() {
      const at = now();
      for (const held of byId.values()) {
        const over = whyOver(held, at);
        if (!held.stream.isOpen()) remove(held.stream.id, 'client');
        else if (over) end(held, over);
        else if (keepsUp(held)) held.stream.comment('ping');
      }
    },
    async endAll() {
      let isLate = false;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          isLate = true;
          resolve();
        }, endLimit);
      });
      const all = [...byId.values()];
      for (let at = 0; at < all.length; at += endBatch) {
        const batch = all.slice(at, at + endBatch);
        if (at > 0 && !isLate) await Promise.race([pause(), late]);
        if (!isLate) await Promise.race([options.leaving?.(batch), late]);
        for (const { stream } of batch) {
          remove(stream.id, 'drain');
          stream.end();
        }
      }
      clearTimeout(timer);
    },
    size: () => byId.size,
    oldestMs() {
      const oldest = byId.values().next().value;
      return oldest ? now() - oldest.openedAt : 0;
    },
    shared: () => undefined,
  };
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, endPause * (0.5 + Math.random())));
}
