/**
 * A connection as a witness: its signs of life speak for what was sent since it was opened, and for nothing older.
 * In a network that drops what it knew (sleep, NAT, VPN) a new connection works while the old ones are dead.
 * Milliseconds, monotonic.
 */
export interface Witness {
  opened(): void;
  seen(): void;
  closed(): void;
  /** When the last sign came that counts for what was sent at `sentAt`. */
  lastSign(sentAt: number): number;
}

export function createWitness(now: () => number): Witness {
  let openedAt = Number.POSITIVE_INFINITY;
  let seenAt = Number.NEGATIVE_INFINITY;
  return {
    opened() {
      openedAt = now();
      seenAt = openedAt;
    },
    seen() {
      seenAt = now();
    },
    closed() {
      openedAt = Number.POSITIVE_INFINITY;
    },
    lastSign: (sentAt) => (openedAt <= sentAt ? seenAt : Number.NEGATIVE_INFINITY),
  };
}
