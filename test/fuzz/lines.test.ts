import { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readLines } from '../../src/bridge/local.ts';
import { readMessages } from '../../src/bridge/message.ts';
import { threat } from '../support/threats.ts';
import { cutAt, cuts, fuzz, mutated, oddText } from './support/fuzz.ts';

/** More than the ends that are kept of what is larger. */
const maxBytes = 1500;
const keptEnds = 1024;

type Heard = readonly [kind: 'line' | 'too large', text: string, tail?: string];

function ours(pieces: readonly Buffer[]): Heard[] {
  const heard: Heard[] = [];
  const input = Object.assign(new EventEmitter(), { pause: () => {}, resume: () => {} });
  let ended = 0;
  readLines(input as unknown as Readable, maxBytes, {
    line: (text) => heard.push(['line', text]),
    tooLarge: ({ head, tail }) => heard.push(['too large', head, tail]),
    end: () => ended++,
  });
  for (const piece of pieces) input.emit('data', piece);
  input.emit('end');
  input.emit('close');
  expect(ended).toBe(1);
  return heard;
}

/** The rule, on the whole text: a line feed ends a line and nothing else does. */
function rule(bytes: Buffer): Heard[] {
  const lines: Buffer[] = [];
  let rest = bytes;
  for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
    lines.push(rest.subarray(0, at));
    rest = rest.subarray(at + 1);
  }
  if (rest.length > 0) lines.push(rest);
  return lines.flatMap((one): Heard[] => {
    if (one.length > maxBytes) {
      return [['too large', one.subarray(0, keptEnds).toString(), one.subarray(-keptEnds).toString()]];
    }
    const text = one
      .toString()
      .replace(/^\ufeff/, '')
      .trim();
    return text ? [['line', text]] : [];
  });
}

const id = fc.oneof(
  fc.integer(),
  fc.constantFrom('"a"', '"\\n"', '1e3', '0.1', '12345678901234567890', 'null'),
);
const message = fc.oneof(
  fc
    .tuple(id, oddText)
    .map(([one, text]) => `{"jsonrpc":"2.0","id":${one},"method":${JSON.stringify(text)}}`),
  fc.jsonValue({ maxDepth: 2 }).map((json) => JSON.stringify(json)),
  fc.nat(900).map((size) => `{"jsonrpc":"2.0","id":7,"result":"${'é'.repeat(size)}"}`),
  fc.constantFrom('', ' ', '\r', '\ufeff', '\u2028', '\u0085', '\0'),
  oddText,
);
const text = fc
  .array(fc.tuple(message, fc.constantFrom('\n', '\n', '\r\n', '\n\n', '')), { maxLength: 5 })
  .map((lines) => lines.flat().join(''));

test(
  threat('C14', 'fuzz: lines of standard input are what the rule says, however the bytes come'),
  async () => {
    await fuzz(
      'lines',
      fc.property(fc.oneof(text, mutated(text)), cuts, (input, where) => {
        const bytes = Buffer.from(input);
        expect(ours(cutAt(bytes, where))).toEqual(rule(bytes));
      }),
      0.5,
    );
  },
);

test(
  threat('C16', 'fuzz: every line is a message with the id that it was written with, or a reason why not'),
  async () => {
    await fuzz(
      'messages',
      fc.property(fc.oneof(message, mutated(message)), (line) => {
        const found = readMessages(line);
        expect(found.length).toBeGreaterThan(0);
        let json: unknown;
        try {
          json = JSON.parse(line);
        } catch {
          expect(found).toMatchObject([{ kind: 'unreadable', code: -32700 }]);
          return;
        }
        if (Array.isArray(json)) return;
        const [one] = found;
        if (one?.kind !== 'request' && one?.kind !== 'response') return;
        expect(one.text).toBe(line);
        // The source text of an id stands in the line, letter by letter, or is an equal string.
        const own = JSON.parse(one.id) as unknown;
        expect(own).toEqual((json as { id: unknown }).id);
        if (typeof own === 'number' && !Number.isSafeInteger(own)) expect(line).toContain(one.id);
      }),
      0.5,
    );
  },
);
