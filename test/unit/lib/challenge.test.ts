import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isScope, parseChallenges, tokenChallenge } from '../../../src/lib/challenge.ts';
import { threat } from '../../support/threats.ts';

const plain = (header: string) =>
  parseChallenges(header).map(({ scheme, token68, parameters }) => ({
    scheme,
    ...(token68 === undefined ? {} : { token68 }),
    ...Object.fromEntries(parameters),
  }));

describe('parseChallenges', () => {
  it.each<[string, unknown]>([
    ['', []],
    ['Bearer', [{ scheme: 'bearer' }]],
    ['bEARER realm="x"', [{ scheme: 'bearer', realm: 'x' }]],
    ['Basic, Bearer', [{ scheme: 'basic' }, { scheme: 'bearer' }]],
    [
      'Basic realm="a, Bearer scope=\\"fake\\"", Bearer scope="real", error=invalid_token',
      [
        { scheme: 'basic', realm: 'a, Bearer scope="fake"' },
        { scheme: 'bearer', scope: 'real', error: 'invalid_token' },
      ],
    ],
    [
      'Negotiate a87421000492aa874209af8bc028==, Bearer a="1"',
      [
        { scheme: 'negotiate', token68: 'a87421000492aa874209af8bc028==' },
        { scheme: 'bearer', a: '1' },
      ],
    ],
    ['Bearer a = "1" , , b\t=\t2 ,', [{ scheme: 'bearer', a: '1', b: '2' }]],
    ['Bearer Scope="one", scope="two"', [{ scheme: 'bearer', scope: 'one' }]],
    [
      'DPoP algs="ES256", Bearer x="y\\\\z"',
      [
        { scheme: 'dpop', algs: 'ES256' },
        { scheme: 'bearer', x: 'y\\z' },
      ],
    ],
    ['Bearer a="unterminated', [{ scheme: 'bearer' }]],
    ['Bearer a="1" b="2"', [{ scheme: 'bearer', a: '1' }]],
    ['=====', []],
  ])('%s', (header, expected) => {
    expect(plain(header)).toEqual(expected);
  });

  it('never fails, and keeps within its input', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'Bb ea=",\\\t/~é') }), (header) => {
        for (const { scheme } of parseChallenges(header)) expect(header.toLowerCase()).toContain(scheme);
      }),
      { numRuns: 2_000 },
    );
  });

  it(threat('C16', '64 KB of quotes, commas, backslashes, equals signs: linear time'), () => {
    const shapes = [
      '"',
      ',',
      '\\',
      '=',
      'a=',
      'a="',
      'Bearer ',
      'Bearer a="\\"',
      'a,',
      ' ',
      '"\\',
      'a=b ',
      'aa ',
    ];
    const start = performance.now();
    for (const shape of shapes) {
      parseChallenges(shape.repeat(Math.floor(65_536 / shape.length)));
      parseChallenges(`Bearer ${shape.repeat(Math.floor(65_536 / shape.length))}`);
    }
    // Quadratic time would be minutes.
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe('tokenChallenge', () => {
  it('prefers the one that names its metadata', () => {
    const found = tokenChallenge('Bearer realm="x", Bearer resource_metadata="https://a/", scope="a  b"');
    expect(found).toEqual({ resourceMetadata: 'https://a/', scope: undefined, error: undefined });
  });
  it.each([
    ['Bearer error="insufficient_scope", scope="a b"', 'insufficient_scope', 'a b'],
    ['bearer scope=a,error=insufficient_scope', 'insufficient_scope', 'a'],
    [
      'Basic realm="x", Bearer realm="a, error=\\"no\\"", error="insufficient_scope"',
      'insufficient_scope',
      undefined,
    ],
    [
      'Bearer error_description="scope=\\"evil\\" error=insufficient_scope", error="invalid_token"',
      'invalid_token',
      undefined,
    ],
    ['Bearer error="insufficient_scope", scope="a\u0007b"', 'insufficient_scope', undefined],
    ['Bearer error="x", DPoP error="y", scope="z"', 'x', undefined],
    ['DPoP algs="ES256", error="insufficient_scope", scope="a b"', 'insufficient_scope', 'a b'],
  ])('%s', (header, error, scope) => {
    expect(tokenChallenge(header)).toEqual({ resourceMetadata: undefined, error, scope });
  });
  it('is undefined without a Bearer or a DPoP challenge', () => {
    expect(tokenChallenge('Basic realm="Bearer"')).toBeUndefined();
    expect(tokenChallenge(undefined)).toBeUndefined();
  });
  it(threat('C18', 'a scope that is none is dropped'), () => {
    expect(isScope('openid profile')).toBe(true);
    for (const bad of ['', ' a', 'a"b', 'a\\b', 'a\nb', 'é', 'a'.repeat(5000)])
      expect(isScope(bad)).toBe(false);
  });
});
