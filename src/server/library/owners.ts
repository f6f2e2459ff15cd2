import { LRUCache } from 'lru-cache';
import type { Identity } from '../../lib/identity.ts';
import type { Principal } from '../verify/principal.ts';

/** Most names that are remembered; those that were used longest ago are forgotten. */
const maxNames = 100_000;

interface Owner {
  readonly user: string;
  /** Of the newest token that came with the session. */
  expiresAt: Expiry;
}

/** Seconds since the epoch; `undefined`: nobody can tell. */
type Expiry = Identity['expiresAt'];

/**
 * Whose each session is. The SDK's transports take a session's name from anybody (MCP security best practices,
 * "Session Hijacking"): here it is worth something to the user alone who was given it. It is known for as long as the
 * sessions of those transports are, in this process.
 */
export interface SessionOwners {
  /**
   * In: who sent a request, and the sessions that it names. Out: `undefined` when one of them is another user's, or
   * was given to nobody.
   */
  enter(principal: Principal, names: readonly string[]): EnteredSessions | undefined;
}

/** The sessions that a request has to do with. */
export interface EnteredSessions {
  /** Its answer gives a name to the user. The first one keeps it. */
  give(name: string): void;
  /** When the last token ends that has come with one of them so far. */
  expiresAt(): Expiry;
}

export function createSessionOwners(): SessionOwners {
  const owners = new LRUCache<string, Owner>({ max: maxNames });

  return {
    enter({ user, identity: { expiresAt } }, names) {
      const mine: Owner[] = [];
      for (const name of names) {
        const owner = owners.get(name);
        if (owner?.user !== user) return undefined;
        mine.push(owner);
      }
      for (const owner of mine) owner.expiresAt = later(owner.expiresAt, expiresAt);
      return {
        give(name) {
          const owner = owners.get(name) ?? { user, expiresAt };
          owners.set(name, owner);
          if (owner.user === user) mine.push(owner);
        },
        expiresAt: () => mine.reduce<Expiry>((last, owner) => later(last, owner.expiresAt), expiresAt),
      };
    },
  };
}

/** For a server that looks after its sessions itself: all names are good, and only tokens end. */
export const noOwners: SessionOwners = {
  enter: ({ identity }) => ({ give: () => {}, expiresAt: () => identity.expiresAt }),
};

/** What nobody can tell does not end. */
function later(a: Expiry, b: Expiry): Expiry {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}
