import { randomBytes } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { Secret } from '../../../lib/secret.ts';
import { createMemorySessions, type LocalSession, type MemorySessionsOptions } from '../memory.ts';
import type { Found, Outcome, Session, Sessions } from '../sessions.ts';
import { openConnection } from './connection.ts';
import { createDirectory, type SessionRecord } from './directory.ts';
import { createInbox } from './inbox.ts';
import { createOutbox } from './outbox.ts';
import { bindingOf, createUserMark, isSame, markOf, seal, unseal } from './seal.ts';

/** Times in milliseconds. */
const defaultLiveness = 15_000;
/** For calls of other replicas that have found a session of ours in its last moment. */
const handOver = 50;
const settleLimit = 2_000;
/** Between two tries to write what could not be written. */
const retryMs = 250;

export interface SharedSessionsOptions extends Omit<MemorySessionsOptions, 'removed' | 'leaving'> {
  readonly url: Secret;
  /** What to trust over `rediss://`; default: what Node trusts. */
  readonly secureContext?: SecureContext | undefined;
  /** How long a replica counts as alive after a sign of life. Milliseconds; default 15 s. */
  readonly livenessMs?: number | undefined;
}

/**
 * Sessions of several replicas; settles when Redis is there, or is known not to be. Each holds its own streams in memory and answers POSTs to them alone. A POST for
 * a stream that another one holds runs where it has landed; its answer alone, sealed, goes to the inbox of the
 * replica that has the stream. Without Redis the first kind goes on, and the second is `away`.
 */
export async function openSharedSessions(options: SharedSessionsOptions): Promise<Sessions> {
  const { url, secureContext, log, livenessMs = defaultLiveness } = options;
  const self = randomBytes(9).toString('base64url');
  const local = createMemorySessions({
    ...options,
    removed,
    leaving,
  });
  let tried = () => {};
  const firstTry = new Promise<void>((resolve) => {
    tried = resolve;
  });
  const redis = openConnection({
    url,
    secureContext,
    onUp: (first) => void connected(first).finally(tried),
    onDown(reason) {
      log.warn('Redis is away: only streams of this process are answered', { reason });
      tried();
    },
  });
  const reader = openConnection({ url, secureContext, onUp: () => inbox.read() });
  const directory = createDirectory({
    self,
    redis,
    livenessMs,
    markUser: options.sharePerUser ? createUserMark(url) : undefined,
    inboxMade: () => inbox.rewind(),
    end: (session) => local.end(session, 'user_limit'),
    log,
  });
  const outbox = createOutbox({ self, redis, isAlive: directory.isAlive, log });
  const inbox = createInbox({
    self,
    reader,
    redis,
    deliver,
    acknowledged: outbox.acknowledged,
    end(mark) {
      const session = directory.own(mark);
      if (session) local.end(session, 'user_limit');
    },
    log,
  });
  const beats = setInterval(() => void tell(directory.beat), livenessMs / 3).unref();
  const retries = setInterval(() => void tell(directory.catchUp), retryMs).unref();
  const gone: LocalSession[] = [];

  async function tell(what: () => Promise<void>): Promise<void> {
    if (!redis.isUp()) return;
    await what().catch((error: unknown) => log.debug('Redis was not told', { error }));
  }

  /** Where many end at once, Redis is told of all together. */
  function removed(session: LocalSession): void {
    if (gone.push(session) === 1) setImmediate(() => void directory.remove(gone.splice(0)));
  }

  async function connected(first: boolean): Promise<void> {
    if (first) log.info('replicas share their streams through Redis', { at: new URL(url.reveal()).host });
    else log.info('Redis is back');
    await directory
      .connected(first)
      .catch((error: unknown) => log.warn('Redis does not take what replicas share', { error }));
    outbox.appendAgain();
  }

  function deliver(from: string, n: number, mark: string, sealed: string): void {
    const session = directory.own(mark);
    // Its client has left meanwhile.
    if (!session) return;
    const { id } = session.stream;
    const outcome = JSON.parse(unseal(id, `${from} ${self} ${n}`, sealed)) as Outcome;
    void session.take(outcome, () => {});
  }

  /** A session whose stream another replica holds. */
  function remote(id: string, mark: string, record: SessionRecord): Session {
    const { owner, revision } = record;
    return {
      revision,
      async take(outcome, accepted) {
        if (outcome.negotiated) directory.amend(mark, { ...record, revision: outcome.negotiated });
        const text = JSON.stringify(outcome);
        await outbox.add(owner, mark, (n) => seal(id, `${self} ${owner} ${n}`, text));
        accepted();
      },
    };
  }

  async function look(id: string, user: string): Promise<Found> {
    if (!redis.isUp()) return 'away';
    const mark = markOf(id);
    try {
      const record = await directory.look(mark);
      if (!record) return (await directory.isComplete()) ? undefined : 'away';
      if (!isSame(record.binding, bindingOf(id, user))) return 'foreign';
      if (record.owner === self) return undefined;
      if (await directory.isAlive(record.owner)) {
        return outbox.canTake(record.owner) ? remote(id, mark, record) : 'away';
      }
    } catch (error) {
      log.info('a session cannot be looked up', { error });
      return 'away';
    }
    directory.forget(mark);
    return undefined;
  }

  /** Others stop finding these streams; what is on its way to them arrives. */
  async function leaving(sessions: readonly LocalSession[]): Promise<void> {
    if (!redis.isUp()) return;
    await directory.remove(sessions);
    await new Promise((resolve) => setTimeout(resolve, handOver));
    await inbox.caughtUp();
  }

  await firstTry;
  return {
    async open(stream, user, expiresAt) {
      if (!local.open(stream, user, expiresAt)) return false;
      const session = local.get(stream.id);
      if (session) await directory.add(session);
      return true;
    },
    find(id, user) {
      if (local.get(id)) return local.find(id, user);
      return isSessionId(id) ? look(id, user) : undefined;
    },
    closed: local.closed,
    tend: local.tend,
    async endAll() {
      await local.endAll();
      await outbox.settle(settleLimit);
      await inbox.acknowledge().catch(() => {});
      clearInterval(beats);
      clearInterval(retries);
      inbox.close();
      outbox.close();
      await directory.leave().catch(() => {});
      redis.close();
      reader.close();
    },
    size: local.size,
    oldestMs: local.oldestMs,
    shared: () => ({
      connected: redis.isUp(),
      unacknowledged: outbox.size(),
      inboxLagMs: inbox.lagMs(),
    }),
  };
}

/** What a session's id looks like; nothing else gets as far as Redis. */
function isSessionId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
