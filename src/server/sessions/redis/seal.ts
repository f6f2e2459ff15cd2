import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { Secret } from '../../../lib/secret.ts';

/**
 * What keeps tokens and identities out of Redis. A session's id is known to its client and to the replicas that
 * the client talks to, and is not in Redis; so it is the key under which Redis may hold the rest.
 */

const nonceBytes = 12;
const tagBytes = 16;

/** How Redis knows a session: nobody finds its id by it. */
export function markOf(sessionId: string): string {
  return createHash('sha256').update(`mcp-whoami session\n${sessionId}`).digest('base64url').slice(0, 22);
}

/** Binds a session to its user; without the session's id it cannot even be tested against a guess. */
export function bindingOf(sessionId: string, user: string): string {
  return createHmac('sha256', sessionId).update(`user\n${user}`).digest('base64url').slice(0, 22);
}

export function isSame(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}

/**
 * How Redis knows a user of many sessions, for their number alone. The key is made of what all replicas know and
 * Redis does not store: the user and password of its URL. Without those it is no more than a hash.
 */
export function createUserMark(url: Secret): (user: string) => string {
  const { username, password } = new URL(url.reveal());
  const key = Buffer.from(hkdfSync('sha256', `${username}:${password}`, '', 'mcp-whoami users', 32));
  return (user) => createHmac('sha256', key).update(user).digest('base64url').slice(0, 22);
}

/** Encrypts a text for who knows the session's id (AES-256-GCM). `about` is bound to it, and not in it. */
export function seal(sessionId: string, about: string, text: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', keyOf(sessionId), nonce).setAAD(Buffer.from(about));
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  );
}

/** The text that was sealed. Throws when the session's id or `about` is another one, or a bit has changed. */
export function unseal(sessionId: string, about: string, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', keyOf(sessionId), bytes.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(-tagBytes));
  const text = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
  return Buffer.concat([text, decipher.final()]).toString('utf8');
}

function keyOf(sessionId: string): Buffer {
  return createHmac('sha256', sessionId).update('answers').digest();
}
