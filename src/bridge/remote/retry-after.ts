/**
 * The wait that a `Retry-After` header asks for (RFC 9110 10.2.3): seconds or a date. In: the header, the time
 * now in milliseconds since the epoch. Out: milliseconds; `undefined` when it is absent or says nothing usable.
 */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const at = /^[A-Za-z]{3}/.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
