import { LRUCache } from 'lru-cache';

/** Most names that are remembered; those that were used longest ago are forgotten. */
const maxNames = 100_000;

/**
 * Whose each session is. The SDK's transports take a session's name from anybody (MCP security best practices,
 * "Session Hijacking"): here it is worth something to the user alone who was given it. It lives as long as the
 * sessions of those transports do, in this process.
 */
export interface SessionOwners {
  /** A name was given to a user. The first one keeps it. */
  give(name: string, user: string): void;
  /** Whether a user may go by this name: not by another one's, nor by one that nobody was given. */
  mayUse(name: string, user: string): boolean;
}

export function createSessionOwners(): SessionOwners {
  const owners = new LRUCache<string, string>({ max: maxNames });
  return {
    give(name, user) {
      if (owners.get(name) === undefined) owners.set(name, user);
    },
    mayUse: (name, user) => owners.get(name) === user,
  };
}
