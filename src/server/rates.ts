import { LRUCache } from 'lru-cache';

const maxKeys = 10_000;

interface Bucket {
  left: number;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface RateOptions {
  /** What one key may take a second for long; `undefined`: there is no limit. */
  readonly perSecond: () => number | undefined;
  /** What it may take at once, in seconds of the rate. */
  readonly burstSeconds: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Token buckets by key; those that were used longest ago are forgotten. */
export interface Rates {
  /** Takes one from the key's bucket. Out: false when it was empty. */
  take(key: string): boolean;
}

export function createRates({ perSecond, burstSeconds, now }: RateOptions): Rates {
  const buckets = new LRUCache<string, Bucket>({ max: maxKeys });
  return {
    take(key) {
      const rate = perSecond();
      if (rate === undefined) return true;
      const most = Math.max(1, rate * burstSeconds);
      const at = now();
      const bucket = buckets.get(key) ?? { left: most, at };
      bucket.left = Math.min(most, bucket.left + (Math.max(0, at - bucket.at) / 1000) * rate);
      bucket.at = at;
      buckets.set(key, bucket);
      if (bucket.left < 1) return false;
      bucket.left--;
      return true;
    },
  };
}
