import { AppError } from '../../../lib/errors.ts';
import type { Log } from '../../../lib/log.ts';
import { type LocalSession, maxPerUser } from '../memory.ts';
import { type Connection, longestPause } from './connection.ts';
import { inboxKey, replicaKey, restoringKey, sessionKey, userKey } from './keys.ts';
import { bindingOf, markOf } from './seal.ts';
import { createShares, memberOf } from './shares.ts';

/** Lifetimes in seconds: of a record whose replica no longer renews it, and of an inbox. */
const recordLife = '3600';
const inboxLife = '60';
/** Each record is written again so often, a few at a time. Milliseconds. */
const renewEvery = 15 * 60_000;
/** How long the answer to "does that replica live?" is good. Milliseconds. */
const aliveFor = 1_000;
const atOnce = 500;
const maxForgotten = 10_000;
/** Written anew with each piece of what is restored. Milliseconds. */
const restoringLife = '1500';
/** How often, and after what pause, a new session is written again where Redis only takes its time. */
const lateTries = 10;
const latePauseMs = 100;

/** What Redis knows of a session. */
export interface SessionRecord {
  readonly owner: string;
  readonly binding: string;
  readonly revision: string | undefined;
}

/** Who holds which stream. */
export interface Directory {
  /** Settles when other replicas can find the session, or cannot be told for now. */
  add(session: LocalSession): Promise<void>;
  remove(sessions: readonly LocalSession[]): Promise<void>;
  /** Our session of that mark. */
  own(mark: string): LocalSession | undefined;
  /** A session of any replica. Rejects where Redis cannot be asked. */
  look(mark: string): Promise<SessionRecord | undefined>;
  /** Notes the revision that a session of another replica has settled on. */
  amend(mark: string, record: SessionRecord): void;
  /** Forgets a session whose replica is gone. */
  forget(mark: string): void;
  /** Rejects where Redis cannot be asked, or has just come back and not heard of everybody yet. */
  isAlive(replica: string): Promise<boolean>;
  /**
   * Whether what Redis does not know does not exist: not when it has just come back, perhaps empty, and not while
   * a replica writes again what it has lost. Rejects where Redis cannot be asked.
   */
  isComplete(): Promise<boolean>;
  /** The connection is there. `first`: at the first try, so that Redis had not been away. */
  connected(first: boolean): Promise<void>;
  /** Says that we live, and writes again what is missing. Call it three times in a lifetime. */
  beat(): Promise<void>;
  /** Writes what could not be written. */
  catchUp(): Promise<void>;
  /** We are no more. */
  leave(): Promise<void>;
}

export interface DirectoryOptions {
  readonly self: string;
  readonly redis: Connection;
  /** How long a replica counts as alive after a sign of life. Milliseconds. */
  readonly livenessMs: number;
  /** How Redis knows a user; `undefined`: nobody has a share. */
  readonly markUser: ((user: string) => string) | undefined;
  /** Our inbox was not there and has been made. */
  readonly inboxMade: () => void;
  /** Ends one of our streams. */
  readonly end: (session: LocalSession) => void;
  readonly log: Log;
}

interface Own {
  readonly mark: string;
  readonly session: LocalSession;
}

export function createDirectory(options: DirectoryOptions): Directory {
  const { self, redis, livenessMs, markUser, log } = options;
  const own = new Map<string, Own>();
  const unwritten = new Set<Own>();
  const forgotten = new Map<string, Own>();
  const alive = new Map<string, { readonly at: number; readonly answer: Promise<unknown> }>();
  let renewing = own.values();
  let [settledAt, settleMs, restoring] = [Number.POSITIVE_INFINITY, 0, false];

  const shares = createShares({
    self,
    redis,
    isAlive,
    end(mark) {
      const one = own.get(mark);
      if (one) options.end(one.session);
    },
  });
  const isSettled = () => performance.now() >= settledAt;

  async function write(one: Own): Promise<void> {
    const { mark, session } = one;
    if (own.get(mark) !== one) return void unwritten.delete(one);
    const { stream, user, usedAt, revision } = session;
    const value = textOf({ owner: self, binding: bindingOf(stream.id, user), revision });
    const sent = [redis.send(['SET', sessionKey(mark), value, 'EX', recordLife])];
    const key = markUser && userKey(markUser(user));
    if (key) {
      sent.push(redis.send(['ZADD', key, String(usedAt), memberOf(self, mark)]));
      sent.push(redis.send(['EXPIRE', key, recordLife]));
      sent.push(redis.send(['ZCARD', key]));
    }
    unwritten.add(one);
    const replies = await Promise.all(sent);
    unwritten.delete(one);
    if (key && Number(replies.at(-1)) > maxPerUser) await shares.makeRoom(key);
  }

  async function erase(some: readonly Own[]): Promise<void> {
    for (const one of some) {
      if (forgotten.size < maxForgotten) forgotten.set(one.mark, one);
    }
    if (some.length === 0) return;
    const sent = [redis.send(['DEL', ...some.map(({ mark }) => sessionKey(mark))])];
    for (const { mark, session } of markUser ? some : []) {
      sent.push(redis.send(['ZREM', userKey(markUser?.(session.user) ?? ''), memberOf(self, mark)]));
    }
    await Promise.all(sent);
    for (const { mark } of some) forgotten.delete(mark);
  }

  /** Some at a time: Redis has others to serve, and so have we. */
  async function inPieces(
    all: readonly Own[],
    each: (some: readonly Own[]) => Promise<unknown>,
  ): Promise<void> {
    for (let at = 0; at < all.length; at += atOnce) await each(all.slice(at, at + atOnce));
  }

  async function isAlive(replica: string): Promise<boolean> {
    if (replica === self) return true;
    let known = alive.get(replica);
    if (!known || performance.now() - known.at > aliveFor) {
      if (alive.size > 1_000) alive.clear();
      known = { at: performance.now(), answer: redis.send(['EXISTS', replicaKey(replica)]) };
      known.answer.catch(() => alive.delete(replica));
      alive.set(replica, known);
    }
    const lives = (await known.answer) === 1;
    if (!lives && !isSettled()) throw new AppError('server_unreachable', 'not all replicas are back yet');
    return lives;
  }

  async function beat(): Promise<void> {
    // The inbox before everything by which others find it.
    if ((await redis.send(['EXPIRE', inboxKey(self), inboxLife])) === 0) {
      await Promise.all([
        redis.send(['XADD', inboxKey(self), '*', 't', 'made']),
        redis.send(['EXPIRE', inboxKey(self), inboxLife]),
      ]);
      options.inboxMade();
    }
    const known = await redis.send(['SET', replicaKey(self), '1', 'PX', String(livenessMs), 'GET']);
    if (settledAt === Number.POSITIVE_INFINITY) settledAt = performance.now() + settleMs;
    if (known === null) {
      restoring = own.size > 0;
      for (const one of own.values()) unwritten.add(one);
    }
    const steps = Math.max(1, renewEvery / (livenessMs / 3));
    for (let left = Math.ceil(own.size / steps); left > 0; left--) {
      let next = renewing.next();
      if (next.done) {
        renewing = own.values();
        next = renewing.next();
      }
      if (!next.done) unwritten.add(next.value);
    }
    await catchUp();
  }

  async function catchUp(): Promise<void> {
    await inPieces([...unwritten], (some) => {
      const told = restoring ? [redis.send(['SET', restoringKey, '1', 'PX', restoringLife])] : [];
      return Promise.all([...told, ...some.map(write)]);
    });
    restoring = false;
    await inPieces([...forgotten.values()], erase);
  }

  return {
    async add(session) {
      const one = { mark: markOf(session.stream.id), session };
      own.set(one.mark, one);
      for (let tries = 0; tries < lateTries; tries++) {
        try {
          return await write(one);
        } catch (error) {
          log.debug('a session is written later', { error });
          if (!redis.isLate()) return;
        }
        await new Promise((resolve) => setTimeout(resolve, latePauseMs));
      }
    },
    async remove(sessions) {
      const gone = sessions.flatMap(({ stream }) => own.get(markOf(stream.id)) ?? []);
      for (const one of gone) {
        own.delete(one.mark);
        unwritten.delete(one);
      }
      await inPieces(gone, erase).catch((error: unknown) =>
        log.debug('a session is taken out later', { error }),
      );
    },
    own: (mark) => own.get(mark)?.session,
    async look(mark) {
      const text = await redis.send(['GET', sessionKey(mark)]);
      return typeof text === 'string' ? recordOf(text) : undefined;
    },
    amend(mark, record) {
      redis.send(['SET', sessionKey(mark), textOf(record), 'XX', 'KEEPTTL']).catch(() => {});
    },
    forget(mark) {
      redis.send(['DEL', sessionKey(mark)]).catch(() => {});
    },
    isAlive,
    async isComplete() {
      return isSettled() && (await redis.send(['EXISTS', restoringKey])) === 0;
    },
    async connected(first) {
      alive.clear();
      // Until all others have found it too, and have written again what it may have lost.
      settleMs = first ? 0 : 4 * longestPause;
      settledAt = Number.POSITIVE_INFINITY;
      await beat();
    },
    beat,
    catchUp,
    async leave() {
      await redis.send(['DEL', replicaKey(self), inboxKey(self)]);
    },
  };
}

const textOf = ({ owner, binding, revision = '' }: SessionRecord) => `${owner} ${binding} ${revision}`;

function recordOf(text: string): SessionRecord {
  const [owner = '', binding = '', revision] = text.split(' ');
  return { owner, binding, revision: revision || undefined };
}
