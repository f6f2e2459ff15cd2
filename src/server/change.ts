import { isDeepStrictEqual } from 'node:util';
import { Secret } from '../lib/secret.ts';
import type { ServerSettings } from '../lib/settings.ts';

/** What may change while the server runs. Everything else is an address, a socket, or built into what is open. */
export const changeable = [
  'issuers',
  'claims',
  'staleMs',
  'allowOrigin',
  'maxSessions',
  'userRate',
  'trustProxy',
  'drainDelayMs',
  'logRequests',
  'tls',
] as const satisfies readonly (keyof ServerSettings)[];

/** How two sets of settings differ, by the names of their members. */
export interface Difference {
  readonly now: readonly (keyof ServerSettings)[];
  /** In force at the next start only. */
  readonly later: readonly (keyof ServerSettings)[];
}

export function difference(before: ServerSettings, after: ServerSettings): Difference {
  const names = (Object.keys(after) as (keyof ServerSettings)[]).filter(
    (name) => !isDeepStrictEqual(plain(before[name]), plain(after[name])),
  );
  const mayChange = (name: keyof ServerSettings) =>
    (changeable as readonly string[]).includes(name) &&
    // TLS begins, and ends, with the socket.
    (name !== 'tls' || (before.tls !== undefined && after.tls !== undefined));
  return {
    now: names.filter(mayChange),
    later: names.filter((name) => !mayChange(name)),
  };
}

/** What can be compared: a secret shows nothing of itself, and neither does a URL. */
function plain(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (value instanceof URL) return value.href;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}
