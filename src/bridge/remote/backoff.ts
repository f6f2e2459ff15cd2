const firstMs = 200;
const ceilingMs = 10_000;

export interface Backoff {
  /** The wait before the next try. Milliseconds; the first is 0, then 200 doubling to 10,000, each with jitter. */
  next(): number;
  reset(): void;
}

export function createBackoff(random: () => number = Math.random): Backoff {
  let tries = 0;
  return {
    next() {
      const base = tries === 0 ? 0 : Math.min(ceilingMs, firstMs * 2 ** Math.min(tries - 1, 16));
      tries++;
      // Bridges that lost one server at the same moment must not come back at the same moment.
      return Math.round(base * (0.75 + random() * 0.25));
    },
    reset() {
      tries = 0;
    },
  };
}
