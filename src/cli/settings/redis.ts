import { AppError } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { display } from '../../lib/text.ts';
import type { Option } from './option.ts';

/**
 * The URL of a Redis: `redis://` or `rediss://` (TLS), with host, optional port, user and password, and the
 * number of a database as its path. It may hold a password: errors show it without, and nothing else shows it.
 */
export const redisUrl = (common: Omit<Option<Secret>, 'read'>): Option<Secret> => ({
  ...common,
  read(texts, from) {
    const given = texts.at(-1) ?? '';
    const refuse = (why: string) =>
      new AppError('usage', `${from}: "${display(withoutCredentials(given), 80)}" ${why}`, {
        hint: 'redis://HOST:6379, or rediss://USER:PASSWORD@HOST:6380/0 over TLS',
      });
    if (!/^rediss?:\/\//i.test(given)) throw refuse('is not a redis:// or rediss:// URL');
    if (!URL.canParse(given)) throw refuse('is not a URL');
    const url = new URL(given);
    if (url.hostname === '') throw refuse('names no host');
    if (!/^(\/\d{0,4})?$/.test(url.pathname)) throw refuse('has a path that is not the number of a database');
    if (url.search || url.hash) throw refuse('has a query or a fragment');
    try {
      decodeURIComponent(url.username + url.password);
    } catch {
      throw refuse('has a user or a password with a stray %');
    }
    return new Secret(url.href);
  },
});

/** Everything between the scheme and the last @ may be a password, whatever the rest looks like. */
function withoutCredentials(given: string): string {
  const at = given.lastIndexOf('@');
  if (at < 0) return given;
  return `${/^[a-z]{1,10}:\/\//i.exec(given)?.[0] ?? ''}…${given.slice(at)}`;
}
