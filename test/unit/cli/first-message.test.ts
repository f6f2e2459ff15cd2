import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { awaitFirstMessage } from '../../../src/cli/first-message.ts';

test('a message that comes in pieces, after noise, is put back whole', async () => {
  const input = new PassThrough();
  const waiting = awaitFirstMessage(input);
  for (const piece of [
    'hello?\n',
    '\n{"not":"ours"}\n{"json',
    'rpc":"2.0","id":1,"method":"ping"}',
    '\n{"x"',
  ]) {
    input.write(piece);
  }
  expect(await waiting).toBe(true);
  input.end(':1}\n');
  expect(await text(input)).toBe('{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"x":1}\n');
});

test('an input that ends, or is not waited for any longer, had no message', async () => {
  const ended = new PassThrough();
  ended.end('no message\n');
  expect(await awaitFirstMessage(ended)).toBe(false);
  const stop = new AbortController();
  const waiting = awaitFirstMessage(new PassThrough(), stop.signal);
  stop.abort();
  expect(await waiting).toBe(false);
});
