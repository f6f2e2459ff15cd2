import fc from 'fast-check';

// Most cases end in an error, and nobody reads where it was made.
Error.stackTraceLimit = 2;

const runs = Number(process.env.FUZZ_RUNS ?? 100_000);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Holds a property against a share of the 100,000 cases that each parser gets, and says by which seed to have the
 * same ones again: `FUZZ_SEED=N npx vitest run --project fuzz`.
 */
export async function fuzz<T>(
  what: string,
  property: fc.IProperty<T> | fc.IAsyncProperty<T>,
  share = 1,
): Promise<void> {
  const cases = Math.ceil(runs * share);
  console.log(`fuzz ${what}: ${cases} cases, seed ${seed}`);
  await fc.assert(property as fc.IAsyncProperty<T>, { numRuns: cases, seed });
}

/** Characters that parsers stumble over, and some that they should not. */
export const oddCharacter: fc.Arbitrary<string> = fc.constantFrom(
  ...'\0\t\n\r "\'\\,;=:/?#@[]{}()<>&%+-._~aAzZ09',
  '\u007f',
  '\u0085',
  '\u009b',
  'é',
  '\u200b',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\ud800',
  '😀',
);

export const oddText: fc.Arbitrary<string> = fc
  .array(oddCharacter, { maxLength: 24 })
  .map((characters) => characters.join(''));

/** A text with a few places changed: a piece dropped, doubled, or replaced by something odd. */
export function mutated(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.nat(8),
    how: fc.constantFrom('drop', 'double', 'replace', 'insert'),
    piece: oddText,
  });
  return fc.tuple(text, fc.array(change, { minLength: 1, maxLength: 3 })).map(([whole, changes]) =>
    changes.reduce((current, { at, length, how, piece }) => {
      const from = Math.floor(at * current.length);
      const to = Math.min(current.length, from + length);
      const [before, middle, after] = [current.slice(0, from), current.slice(from, to), current.slice(to)];
      if (how === 'drop') return before + after;
      if (how === 'double') return before + middle + middle + after;
      return before + piece + (how === 'insert' ? middle : '') + after;
    }, whole),
  );
}

/** Where to cut something in pieces: fractions of its length. */
export const cuts: fc.Arbitrary<readonly number[]> = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  maxLength: 6,
});

/** The pieces of `bytes`, cut at those fractions: also in the middle of a character. */
export function cutAt(bytes: Buffer, fractions: readonly number[]): Buffer[] {
  const places = fractions.map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b);
  return [...places, bytes.length].map((to, i) => bytes.subarray(places[i - 1] ?? 0, to));
}
