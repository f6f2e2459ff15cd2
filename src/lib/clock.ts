/** Clocks that differ by less are no reason for anything. Milliseconds. */
const noticeableMs = 5 * 60_000;

/**
 * The next step where a failure has to do with time and the clocks differ; undefined when they do not.
 *
 * In: the `Date` header of an answer (RFC 9110 6.6.1), the host that gave it, our wall clock, and the difference that
 * counts. Milliseconds.
 */
export function clockHint(
  date: string | undefined,
  host: string,
  now: number,
  countsMs = noticeableMs,
): string | undefined {
  const ahead = now - Date.parse(date ?? '');
  if (!(Math.abs(ahead) > countsMs)) return undefined;
  const how = `${duration(Math.abs(ahead))} ${ahead > 0 ? 'ahead of' : 'behind'}`;
  return `check the clock of this machine: it is ${how} the one of ${host}`;
}

/** A time as a person says it: `90 s`, `5 min`, `3 h`, `2 days`. In: milliseconds. */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
