import { createRates } from './rates.ts';

/** Rejected tokens a second that one address may present for long; five times as many at once. */
const perSecond = 20;
const burstSeconds = 5;

/** Counts the tokens that were rejected, by address: somebody guesses, or a client is stuck in a loop. */
export interface Rejections {
  /** Takes one from the address' bucket. Out: false when it was empty. */
  charge(address: string | undefined): boolean;
}

export function createRejections(now: () => number): Rejections {
  const rates = createRates({ perSecond: () => perSecond, burstSeconds, now });
  return { charge: (address) => rates.take(networkOf(address ?? '')) };
}

/** An IPv6 customer holds a /64; an IPv4 address stands for itself, written either way. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  if (!address.includes(':')) return address;
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = head.split(':').filter(Boolean);
  const after = tail?.split(':').filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length);
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...after];
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}
