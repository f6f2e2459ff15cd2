import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import {
  type Challenge,
  dpopChallenge,
  isScope,
  parseChallenges,
  tokenChallenge,
} from '../../src/lib/challenge.ts';
import { threat } from '../support/threats.ts';
import { fuzz, mutated, oddText } from './support/fuzz.ts';

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789abcxyzABCXYZ";
const token = fc.string({ unit: fc.constantFrom(...tokenCharacters), minLength: 1, maxLength: 10 });
const opaque = fc
  .tuple(
    fc.string({ unit: fc.constantFrom(...'abcXYZ019._~+/-'), minLength: 1, maxLength: 20 }),
    fc.constantFrom('', '=', '=='),
  )
  .map(([body, end]) => body + end);
const name = fc.oneof(
  fc.constantFrom('scope', 'error', 'algs', 'resource_metadata', 'Realm', 'SCOPE'),
  token,
);
/** What a quoted string may hold: also what looks like another challenge. */
const quotable = fc.oneof(
  fc.constantFrom(
    'a b',
    'Bearer scope="evil"',
    ', Bearer error=x',
    '\\',
    '"',
    '',
    'https://a.example/?x=1,2',
  ),
  fc.string({ unit: fc.constantFrom(...'ab =",\\\t/é'), maxLength: 12 }),
);
const space = fc.constantFrom('', ' ', '\t', '  ');
const parameter = fc.record({ name, value: quotable, quoted: fc.boolean(), around: fc.tuple(space, space) });
const challenge = fc.record({
  scheme: fc.oneof(fc.constantFrom('Bearer', 'bearer', 'DPoP', 'Basic', 'Negotiate'), token),
  opaque: fc.option(opaque, { nil: undefined, freq: 4 }),
  parameters: fc.array(parameter, { maxLength: 4 }),
  gap: fc.constantFrom(' ', '  ', '\t '),
  comma: fc.constantFrom(',', ' , ', ',\t', ',,', ' ,, '),
});
type Written = typeof challenge extends fc.Arbitrary<infer T> ? T : never;

const isToken = (text: string) => text !== '' && [...text].every((c) => tokenCharacters.includes(c));

function write({ scheme, opaque: data, parameters, gap, comma }: Written): string {
  const values = parameters.map(({ name: key, value, quoted, around }) => {
    const text = quoted || !isToken(value) ? `"${value.replace(/["\\]/g, '\\$&')}"` : value;
    return `${key}${around[0]}=${around[1]}${text}`;
  });
  const rest = data ?? values.join(comma);
  return rest === '' ? scheme : `${scheme}${gap}${rest}`;
}

/** What a reader must make of it. */
function meant({ scheme, opaque: data, parameters }: Written): Challenge {
  const kept = new Map<string, string>();
  for (const { name: key, value } of data === undefined ? parameters : []) {
    if (!kept.has(key.toLowerCase())) kept.set(key.toLowerCase(), value);
  }
  return { scheme: scheme.toLowerCase(), token68: data, parameters: kept };
}

const header = fc.array(challenge, { maxLength: 4 });

test(threat('C16', 'fuzz: challenges are read back as they were written'), async () => {
  await fuzz(
    'challenge, written',
    fc.property(header, (written) => {
      const text = written.map(write).join(', ');
      expect(parseChallenges(text)).toEqual(written.map(meant));
    }),
    0.5,
  );
});

test(
  threat(['C16', 'C18'], 'fuzz: whatever the header, nothing is taken that the grammar forbids'),
  async () => {
    const any = fc.oneof(mutated(header.map((written) => written.map(write).join(', '))), oddText);
    await fuzz(
      'challenge, mutated',
      fc.property(any, (text) => {
        for (const { scheme, token68, parameters } of parseChallenges(text)) {
          expect(isToken(scheme) || /^[\w!#$%&'*+.^`|~-]+$/.test(scheme)).toBe(true);
          if (token68 !== undefined) expect(parameters.size).toBe(0);
          for (const [key, value] of parameters) {
            expect(key).toMatch(/^[\w!#$%&'*+.^`|~-]+$/);
            expect(value.length).toBeLessThan(text.length);
          }
        }
        const asked = tokenChallenge(text);
        if (asked?.scope !== undefined) {
          expect(isScope(asked.scope)).toBe(true);
          expect(asked.scope).toMatch(/^[\x20-\x7e]+$/);
        }
        for (const name of dpopChallenge(text)?.algorithms ?? []) expect(name).toMatch(/^[^ ]+$/);
      }),
    );
  },
);

test(threat('C16', 'fuzz: a header of 64 KB costs a bounded number of looks at each character'), async () => {
  const piece = fc.oneof(
    header.map((written) => `${written.map(write).join(', ')},`),
    fc.constantFrom(
      '"',
      ',',
      '\\',
      '=',
      'a=',
      'a="',
      'Bearer ',
      '"\\',
      'a=b ',
      'aa ',
      ' ',
      'a==',
      'Bearer a=',
    ),
    oddText,
  );
  const exec = vi.spyOn(RegExp.prototype, 'exec');
  try {
    await fuzz(
      'challenge, oversized',
      fc.property(fc.array(piece, { minLength: 1, maxLength: 3 }), (pieces) => {
        const unit = pieces.join('') || ',';
        const text = unit.repeat(Math.ceil(65_536 / unit.length));
        exec.mockClear();
        parseChallenges(text);
        const looks = exec.mock.results.reduce((sum, { value }) => sum + 1 + (value?.[0]?.length ?? 0), 0);
        if (looks > 8 * text.length + 64) throw new Error(`${looks} looks at ${text.length} characters`);
      }),
      0.002,
    );
  } finally {
    exec.mockRestore();
  }
});
