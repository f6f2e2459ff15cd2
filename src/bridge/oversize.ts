/** What is left of a message that was too large to be kept: its first and its last characters. */
export interface Fragment {
  readonly head: string;
  readonly tail: string;
}

/** How much of either end is kept to find out whose message it was. */
export const fragmentBytes = 1024;

const id = '("(?:[^"\\\\]|\\\\.)*"|-?\\d[\\d.eE+-]*)';
const inHead = new RegExp(
  `^\\s*\\{(?:\\s*"(?:jsonrpc|method)"\\s*:\\s*"[^"\\\\]*"\\s*,)*\\s*"id"\\s*:\\s*${id}\\s*,`,
);
const inTail = new RegExp(
  `[,{]\\s*"id"\\s*:\\s*${id}\\s*(?:,\\s*"(?:jsonrpc|method)"\\s*:\\s*"[^"\\\\]*"\\s*)*\\}\\s*$`,
);

/**
 * The id (source text) of a message of which only the ends are known: senders put it before or behind the
 * large part. `undefined` when it is in neither.
 */
export function idOfFragment({ head, tail }: Fragment): string | undefined {
  return inHead.exec(head)?.[1] ?? inTail.exec(tail)?.[1];
}

/** True when the fragment is of an answer rather than of a request or a notification. */
export function isAnswerFragment({ head, tail }: Fragment): boolean {
  const method = /"method"\s*:\s*"/;
  return /^\s*\{[^{}[\]]*"(?:result|error)"\s*:/.test(head) || !(method.test(head) || method.test(tail));
}

/** The last bytes of two pieces that follow each other: as many as `fragmentBytes`. */
export function lastBytes(before: Buffer, more: Buffer): Buffer {
  return Buffer.concat([before, more.subarray(-fragmentBytes)]).subarray(-fragmentBytes);
}
