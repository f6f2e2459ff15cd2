import type { EnteredSessions } from './owners.ts';

/** Times in milliseconds. */
const grace = 60_000;
const longestTimer = 24 * 60 * 60_000;

/**
 * Ends a stream a minute after the newest token of its session, so that nobody listens who could not ask. The client
 * opens another one, with a token that is good.
 *
 * In: the sessions, and what ends the stream. Out: to be called when the stream is gone.
 */
export function endWithToken({ expiresAt }: EnteredSessions, end: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  function look(): void {
    const at = expiresAt();
    const left = at === undefined ? longestTimer : at * 1000 + grace - Date.now();
    if (left <= 0) end();
    else timer = setTimeout(look, Math.min(left, longestTimer)).unref();
  }
  look();
  return () => clearTimeout(timer);
}
