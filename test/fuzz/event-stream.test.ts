import { StringDecoder } from 'node:string_decoder';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idOfFragment } from '../../src/bridge/oversize.ts';
import { createEventLimit, createEventParser, oversized } from '../../src/bridge/remote/event-stream.ts';
import { threat } from '../support/threats.ts';
import { cutAt, cuts, fuzz, mutated, oddText } from './support/fuzz.ts';

const end = fc.constantFrom('\n', '\n', '\r\n', '\r');
const value = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '  x',
    'message',
    'endpoint',
    '12',
    '1e3',
    '-1',
    '{"jsonrpc":"2.0","id":1}',
    ':',
    '\0',
  ),
  oddText.map((text) => text.replace(/[\r\n]/g, '')),
);
const field = fc.oneof(
  fc.constantFrom('data', 'data', 'data', 'event', 'id', 'retry', '', 'Data', 'dat', '\ufeffdata'),
  oddText.map((text) => text.replace(/[\r\n:]/g, '')),
);
const line = fc
  .tuple(field, fc.constantFrom(':', ': ', ''), value)
  .map(([name, colon, text]) => (colon === '' ? name : name + colon + text));
const event = fc.tuple(fc.array(line, { maxLength: 4 }), end, fc.boolean());
const stream = fc.tuple(fc.boolean(), fc.array(event, { maxLength: 4 })).map(([marked, events]) => {
  const texts = events.map(
    ([lines, eol, ended]) => lines.map((one) => one + eol).join('') + (ended ? eol : ''),
  );
  return (marked ? '\ufeff' : '') + texts.join('');
});

type Seen = readonly [type: string, data: string];

function ours(pieces: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const decoder = new StringDecoder('utf8');
  const parser = createEventParser(({ type, data }) => seen.push([type, data]));
  for (const piece of pieces) parser.feed(decoder.write(piece));
  return seen;
}

/** What the library reads that HTTP+SSE streams go through, from the whole text at once. */
function reference(text: string): Seen[] {
  const seen: Seen[] = [];
  const parser = createParser({ onEvent: ({ event: type, data }) => seen.push([type || 'message', data]) });
  // It expects a decoder that takes the mark away, as the standard has it: one, at the very beginning.
  parser.feed(text.replace(/^\ufeff/, ''));
  // It waits for what comes behind a carriage return at the very end.
  if (text.endsWith('\r')) parser.feed(':\n');
  return seen;
}

test(threat('C14', 'fuzz: events are those of another parser, however the stream is cut'), async () => {
  await fuzz(
    'event stream',
    fc.property(fc.oneof(stream, mutated(stream)), cuts, (text, where) => {
      const bytes = Buffer.from(text);
      expect(ours(cutAt(bytes, where))).toEqual(reference(bytes.toString('utf8')));
    }),
    0.6,
  );
});

/** More than the ends that are kept of what is larger. */
const maxBytes = 1500;
const sized = fc.record({
  size: fc.oneof(fc.nat(1300), fc.integer({ min: 1300, max: 1700 }), fc.integer({ min: 2000, max: 5000 })),
  idFirst: fc.boolean(),
});

test(
  threat('C14', 'fuzz: an event over the limit is told by its id, every other one comes through'),
  async () => {
    await fuzz(
      'event limit',
      fc.property(fc.array(sized, { minLength: 1, maxLength: 5 }), end, cuts, (events, eol, where) => {
        const messages = events.map(({ size, idFirst }, id) =>
          idFirst
            ? `{"jsonrpc":"2.0","id":${id},"result":{"x":"${'x'.repeat(size)}"}}`
            : `{"result":{"x":"${'x'.repeat(size)}"},"jsonrpc":"2.0","id":${id}}`,
        );
        const blocks = messages.map((message) => `event: message${eol}data: ${message}${eol}${eol}`);
        const limit = createEventLimit(maxBytes);
        const seen: [kind: string, id: string | undefined][] = [];
        let passed = 0;
        const parser = createEventParser(({ type, data }) => {
          const fragment = oversized(type, data, maxBytes);
          if (fragment) seen.push(['too large', idOfFragment(fragment)]);
          else seen.push([data, undefined]);
        });
        const decoder = new StringDecoder('utf8');
        const bytes = Buffer.from(blocks.join(''));
        for (const piece of cutAt(bytes, where)) {
          const out = limit(piece);
          passed += out.length;
          parser.feed(decoder.write(out));
        }
        // A marker for an event is bounded, whatever the event was.
        expect(passed).toBeLessThan(bytes.length + events.length * 3000);
        expect(seen).toHaveLength(events.length);
        seen.forEach(([kind, id], i) => {
          const message = messages[i] ?? '';
          const mustPass = (blocks[i]?.length ?? 0) <= maxBytes;
          const mustFail = message.length > maxBytes;
          if (mustPass) expect(kind).toBe(message);
          if (mustFail) expect(kind).toBe('too large');
          if (kind === 'too large') expect(id).toBe(String(i));
          else expect(kind).toBe(message);
        });
      }),
      0.4,
    );
  },
);
