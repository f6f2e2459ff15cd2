/** Names of keys, versioned: replicas of an older form find nothing of a newer one. Each key has a lifetime. */
const prefix = 'mcp-whoami:1';

/** There while the replica lives. */
export const replicaKey = (replica: string) => `${prefix}:replica:${replica}`;
/** A stream of what is meant for the replica. */
export const inboxKey = (replica: string) => `${prefix}:inbox:${replica}`;
/** Who holds a session's stream, and whom it is bound to. */
export const sessionKey = (mark: string) => `${prefix}:session:${mark}`;
/** There while a replica writes again what Redis has lost: what is not there may still come. */
export const restoringKey = `${prefix}:restoring`;
/** A user's sessions, by last use. */
export const userKey = (mark: string) => `${prefix}:user:${mark}`;

/** Entries of an inbox: more than its replica takes in are appended again. */
const inboxLength = '10000';

/**
 * The command that appends to another replica's inbox. Its reply is null where there is none: nobody's inbox is
 * made, which would have no lifetime.
 */
export function appendTo(replica: string, fields: readonly string[]): readonly string[] {
  return ['XADD', inboxKey(replica), 'NOMKSTREAM', 'MAXLEN', '~', inboxLength, '*', ...fields];
}
