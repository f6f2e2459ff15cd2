/**
 * What no reader sees, or what changes what a reader sees: C1 control characters, the bidirectional controls,
 * zero-width characters, line and paragraph separators, and the tags and selectors of plane 14, which a model
 * reads although nobody else does.
 */
const unseen =
  '\\u007f-\\u009f\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}';

/**
 * Text that came from the network or from a user, made fit to be shown. Stripped: the unseen, and the C0 control
 * characters (terminal escapes, forged lines). Capped: a server cannot fill a screen.
 */
const unfit = new RegExp(`[\\u0000-\\u001f${unseen}]+`, 'gu');
const escaped = new RegExp(`[${unseen}]`, 'gu');

/** `text` as one line without control characters, at most `max` characters. */
export function display(text: unknown, max = 300): string {
  const line = String(text)
    .slice(0, max * 4)
    .replace(unfit, ' ')
    .trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** `value` as JSON on standard output: a script gets all of it, a terminal nothing that it would act on. */
export function displayJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(escaped, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** `text` for HTML content and for quoted attributes alike. */
export function escapeHtml(text: unknown): string {
  return String(text).replace(/[&<>"'`]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** The known word nearest to `word`, when it is near enough to be a slip of the finger. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, substitution));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
