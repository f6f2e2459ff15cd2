import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { startClient, type TestClient, until } from './support/client.ts';
import { type FakeRemote, politely, startRemote } from './support/remote.ts';

let client: TestClient;
let remote: FakeRemote;
beforeEach(async () => {
  remote = await startRemote('http');
  client = startClient(remote.url, { settings: { maxMessageBytes: 10_000 } });
  await client.initialize();
});
afterEach(async () => {
  await client.close();
  await remote.stop();
});

describe('what comes from the client', () => {
  test('a line that is not JSON: -32700 without an id, and the next line works', async () => {
    client.line('this is not json');
    client.line('{"jsonrpc":"2.0","id":1,"method":"ping"');
    client.line('{"jsonrpc":"2.0","id":2,"method":"ping"}');
    await client.answerTo(2);
    const errors = client.messages.filter(({ id }) => id === null);
    expect(errors.map(({ error }) => (error as { code: number }).code)).toEqual([-32700, -32700]);
  });

  test.each([
    '42',
    '"text"',
    'null',
    '{}',
    '[]',
    '{"jsonrpc":"2.0","id":null,"method":"ping"}',
    '{"jsonrpc":"2.0","id":{},"method":"ping"}',
  ])('%s is no message: -32600', async (line) => {
    client.line(line);
    await client.message(({ error }) => (error as { code?: number } | undefined)?.code === -32600);
  });

  test('only a line feed ends a message: CR, U+2028, U+2029 and U+0085 belong to it', async () => {
    const odd = 'a\u2028b\u2029c\u0085d';
    client.input.write(
      `{"jsonrpc":"2.0","id":1,\r"method":"tools/call","params":{"name":"echo","arguments":{"t":"${odd}"}}}\n`,
    );
    expect(JSON.stringify(await client.answerTo(1))).toContain(odd);
    expect(client.lines.every((line) => !line.includes('\r'))).toBe(true);
  });

  test('CRLF, empty lines, white space, NUL-free padding and a byte order mark are ignored', async () => {
    client.input.write('\r\n\n   \n\ufeff{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n');
    await client.answerTo(1);
    expect(client.messages.some(({ error }) => error !== undefined)).toBe(false);
  });

  test('a line in many pieces, cut inside a character', async () => {
    const bytes = Buffer.from(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"t":"grüße 👋"}}}\n',
    );
    for (const byte of bytes) client.input.write(Buffer.of(byte));
    expect(JSON.stringify(await client.answerTo(1))).toContain('grüße 👋');
  });

  test('several lines in one piece, answered each', async () => {
    client.input.write([1, 2, 3].map((id) => `{"jsonrpc":"2.0","id":${id},"method":"ping"}\n`).join(''));
    await Promise.all([1, 2, 3].map((id) => client.answerTo(id)));
  });

  test.each([
    [
      'at its beginning',
      (pad: string) => `{"jsonrpc":"2.0","id":"big","method":"tools/call","params":{"x":"${pad}"}}`,
    ],
    [
      'at its end',
      (pad: string) => `{"method":"tools/call","params":{"x":"${pad}"},"jsonrpc":"2.0","id":"big"}`,
    ],
  ])(
    'a line over the limit with its id %s: an error for that id, and the next line works',
    async (_, line) => {
      client.line(line('x'.repeat(300_000)));
      expect(await client.answerTo('big')).toMatchObject({
        error: { code: -32603, data: { code: 'too_large' } },
      });
      await client.call();
      expect(remote.sent('tools/call')).toHaveLength(1);
    },
  );

  test('one byte under the limit goes through', async () => {
    const frame = (pad: string) =>
      `{"jsonrpc":"2.0","id":"fits","method":"tools/call","params":{"x":"${pad}"}}`;
    client.line(frame('x'.repeat(10_000 - frame('').length)));
    expect(await client.answerTo('fits')).toMatchObject({ result: {} });
  });

  test('an answer of the client over the limit is told to the server as an error', async () => {
    await until('a stream', () => remote.streams.size > 0);
    remote.say('{"jsonrpc":"2.0","id":"ask","method":"sampling/createMessage"}');
    await client.message(({ id }) => id === 'ask');
    client.line(`{"jsonrpc":"2.0","id":"ask","result":{"x":"${'x'.repeat(20_000)}"}}`);
    await until('an error at the server', () =>
      remote.received.some(
        ({ json }) => json.id === 'ask' && (json.error as { code: number } | undefined)?.code === -32603,
      ),
    );
  });
});

describe('the end', () => {
  test('the input ends: what is about to be answered is answered', async () => {
    client.send({ id: 'last', method: 'tools/call', params: { name: 'echo' } });
    client.input.end();
    await client.bridge.closed;
    expect(await client.answerTo('last')).toMatchObject({ result: {} });
  });

  test('close: what is pending gets an error, once, and nothing is sent afterwards', async () => {
    remote.onMessage = () => {};
    client.send({ id: 'p', method: 'tools/call', params: { name: 'echo' } });
    await until('the call', () => remote.sent('tools/call').length === 1);
    await client.bridge.close('the process is being stopped');
    expect(client.messages.filter(({ id }) => id === 'p')).toHaveLength(1);
    expect(JSON.stringify(await client.answerTo('p'))).toContain('the process is being stopped');
  });

  test('a server that does not answer the DELETE holds nobody up', async () => {
    remote.gate = (request) => request.method === 'DELETE';
    const at = performance.now();
    await client.bridge.close('over');
    expect(performance.now() - at).toBeLessThan(1000);
    expect(remote.received.at(-1)?.verb).toBe('DELETE');
  });

  test('a broken output ends the bridge', async () => {
    client.output.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    await client.bridge.closed;
    expect(remote.received.at(-1)?.verb).toBe('DELETE');
  });
});

describe('back-pressure', () => {
  test.each(['http', 'sse'] as const)(
    threat('C15', 'a client that does not read stops the remote over %s, and loses nothing'),
    async (kind) => {
      const flood = await startRemote(kind);
      const output = new PassThrough({ highWaterMark: 16_384 });
      const input = new PassThrough();
      const slow = startClient(flood.url, { input, output });
      const send = (message: object) => input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
      const chunks: string[] = [];
      send({ id: 'i', method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {} } });
      send({ method: 'notifications/initialized' });
      await until('a stream', () => flood.streams.size > 0);
      // Two hundred times 100 KB: more than every buffer on the way holds.
      const [stream] = flood.streams;
      const line = (n: number) =>
        `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":${n},"pad":"${'x'.repeat(100_000)}"}}\n\n`;
      let written = 0;
      const pour = () => {
        while (written < 200 && stream?.write(line(written))) written++;
        if (written < 200)
          stream?.once('drain', () => {
            written++;
            pour();
          });
      };
      pour();
      await until('a stop', () => output.writableNeedDrain);
      let [before, quiet] = [-1, 0];
      await until('a server that has to wait, or has said it all', () => {
        quiet = written === before ? quiet + 1 : 0;
        before = written;
        return quiet === 40 || written === 200;
      });
      expect(written).toBeLessThan(200);
      expect(output.readableLength + output.writableLength).toBeLessThan(2_000_000);
      output.on('data', (chunk) => chunks.push(String(chunk)));
      await until('the rest', () => written === 200 && chunks.join('').includes('"data":199'));
      const seen = [...chunks.join('').matchAll(/"data":(\d+)/g)].map(([, n]) => Number(n));
      expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => n));
      await slow.close();
      await flood.stop();
    },
  );

  test('calls that the remote does not take stop the reading of the input, and none is lost', async () => {
    const held: (() => void)[] = [];
    remote.onMessage = (message, reply) => {
      if (message.method === 'tools/call') held.push(() => politely(message, reply));
      else politely(message, reply);
    };
    const pad = 'x'.repeat(9_000);
    for (let n = 0; n < 20; n++)
      client.send({ id: `b${n}`, method: 'tools/call', params: { name: 'echo', arguments: { pad } } });
    await until('a pause', () => client.input.isPaused());
    await until('what was read, at the server', () => held.length > 3);
    expect(held.length).toBeLessThan(10);
    remote.onMessage = politely;
    for (const go of held) go();
    await Promise.all(Array.from({ length: 20 }, (_, n) => client.answerTo(`b${n}`)));
  });
});
