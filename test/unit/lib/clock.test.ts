import { expect, test } from 'vitest';
import { clockHint, duration } from '../../../src/lib/clock.ts';

const now = Date.parse('2026-11-26T06:00:00Z');
const at = (ms: number) => new Date(now + ms).toUTCString();
const minute = 60_000;

test.each([
  [-24 * 60 * minute, 'check the clock of this machine: it is 24 h ahead of the one of a.example'],
  [3 * 24 * 60 * minute, 'check the clock of this machine: it is 3 days behind the one of a.example'],
  [-6 * minute, 'check the clock of this machine: it is 6 min ahead of the one of a.example'],
  [-5 * minute, undefined],
  [5 * minute, undefined],
  [0, undefined],
])('a server whose clock is %i ms from ours', (ms, expected) => {
  expect(clockHint(at(ms), 'a.example', now)).toBe(expected);
});

test.each([[undefined], [''], ['yesterday']])('no hint from a Date header that is none: %j', (date) => {
  expect(clockHint(date, 'a.example', now)).toBeUndefined();
});

test('another difference that counts', () => {
  expect(clockHint(at(-90_000), 'a.example', now, minute)).toContain('90 s ahead');
});

test.each([
  [90_000, '90 s'],
  [5 * minute, '5 min'],
  [180 * minute, '3 h'],
  [48 * 60 * minute, '2 days'],
])('%i ms is %s', (ms, text) => expect(duration(ms)).toBe(text));
