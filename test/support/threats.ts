import registry from './threats.json' with { type: 'json' };

/** A row of the threat table: C a hostile server, L the loopback redirect, S secrets, R our server, E supply. */
export type ThreatId = keyof typeof registry;

export interface Threat {
  readonly threat: string;
  /** `file#name` of what stands in its way. */
  readonly guards: readonly string[];
}

/** Every row, in the order of the table. */
export const threats: readonly (readonly [ThreatId, Threat])[] = Object.entries(registry) as [
  ThreatId,
  Threat,
][];

/**
 * The name of a test that stands for rows of the threat table: it fails where the guard is removed. `npm test`
 * counts the rows by these names, and docs/security.md lists them.
 */
export function threat(rows: ThreatId | readonly ThreatId[], what: string): string {
  return `${[rows].flat().join(', ')}: ${what}`;
}
