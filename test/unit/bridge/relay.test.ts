import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { startClient, type TestClient, until } from './support/client.ts';
import { type FakeRemote, type Json, politely, startRemote } from './support/remote.ts';

describe.each(['http', 'sse'] as const)('the relay over %s', (kind) => {
  let remote: FakeRemote;
  let client: TestClient;
  beforeEach(async () => {
    remote = await startRemote(kind);
    client = startClient(remote.url);
  });
  afterEach(async () => {
    await client.close();
    await remote.stop();
  });
  const openStream = () => until('a stream of server messages', () => remote.streams.size > 0);

  test('a quick answer to initialize is passed on as it is', async () => {
    remote.onMessage = ({ id, method }, reply) => {
      if (method === 'initialize') {
        reply.raw(
          `{"result":{"capabilities":{"x-own":{"b":1,"a":2}},"zz":null,"protocolVersion":"2025-06-18","serverInfo":{"name":"n","version":"0"}},"id":"${id}","jsonrpc":"2.0"}`,
        );
      } else politely({ id, method } as Json, reply);
    };
    await client.initialize();
    expect(client.lines[0]).toBe(
      '{"result":{"capabilities":{"x-own":{"b":1,"a":2}},"zz":null,"protocolVersion":"2025-06-18","serverInfo":{"name":"n","version":"0"}},"id":"q1","jsonrpc":"2.0"}',
    );
  });

  test('unknown members, their order and the spelling of numbers cross unchanged, both ways', async () => {
    await client.initialize();
    const line =
      '{"params":{"name":"echo","zeta":1.50,"_meta":{"x":9007199254740993}},"x-top":[{}],"method":"tools/call","id":7,"jsonrpc":"2.0"}';
    const answer = '{"id":7,"jsonrpc":"2.0","result":{"n":1e2,"content":[],"a":1},"x":true}';
    remote.onMessage = ({ method }, reply) => {
      if (method === 'tools/call') reply.raw(answer);
    };
    client.line(line);
    await client.answerTo(7);
    expect(remote.sent('tools/call')[0]?.text).toBe(line);
    expect(client.lines).toContain(answer);
  });

  test.each([
    ['a number', '7'],
    ['a string that looks like it', '"7"'],
    ['zero', '0'],
    ['a fraction', '1.5'],
    ['a huge number', '12345678901234567890'],
    ['an escaped string', '"a\\"b"'],
    ['an empty string', '""'],
  ])('ids keep their digits: %s', async (_, id) => {
    await client.initialize();
    remote.onMessage = ({ method }, reply) => {
      if (method === 'tools/call') reply.raw(`{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`);
    };
    client.line(`{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"echo"}}`);
    await until('an answer', () =>
      client.lines.includes(`{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`),
    );
  });

  test('1 and "1" are different requests', async () => {
    await client.initialize();
    client.line(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":1}}}',
    );
    client.line(
      '{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"echo","arguments":{"s":1}}}',
    );
    expect(JSON.stringify(await client.answerTo(1))).toContain('{\\"n\\":1}');
    expect(JSON.stringify(await client.answerTo('1'))).toContain('{\\"s\\":1}');
  });

  test('a huge id that the server gives back rounded reaches its asker with its own digits', async () => {
    await client.initialize();
    remote.onMessage = ({ id, method }, reply) => {
      if (method === 'tools/call') reply.raw(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }));
    };
    client.line('{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"echo"}}');
    await until('an answer', () => client.lines.some((line) => line.includes('"id":9007199254740993,')));
  });

  test('a second request with an id in flight is refused, the first one is answered', async () => {
    await client.initialize();
    let finish = () => {};
    remote.onMessage = ({ method }, { result }) => {
      if (method === 'tools/call') finish = () => result({ content: [] });
    };
    const call = { id: 5, method: 'tools/call', params: { name: 'echo' } };
    client.send(call);
    client.send(call);
    expect(await client.answerTo(5)).toMatchObject({ error: { code: -32600 } });
    await until('the call at the server', () => remote.sent('tools/call').length === 1);
    finish();
    await client.message(({ id, result }) => id === 5 && result !== undefined);
  });

  test('progress, logging and requests of the server cross, and their answers come back', async () => {
    await client.initialize({ capabilities: { sampling: {}, roots: {}, elicitation: {} } });
    await openStream();
    remote.onMessage = ({ method }, reply) => {
      if (method !== 'tools/call') return;
      reply.send({
        jsonrpc: '2.0',
        method: 'notifications/progress',
        params: { progressToken: 't', progress: 1 },
      });
      reply.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
      reply.send({ jsonrpc: '2.0', id: 0, method: 'sampling/createMessage', params: { messages: [] } });
    };
    client.send({ id: 'c', method: 'tools/call', params: { name: 'echo', _meta: { progressToken: 't' } } });
    const asked = await client.message(({ method }) => method === 'sampling/createMessage');
    expect(asked.id).toBe(0);
    expect(client.messages.map(({ method }) => method)).toEqual(
      expect.arrayContaining(['notifications/progress', 'notifications/message', 'sampling/createMessage']),
    );
    client.line('{"jsonrpc":"2.0","id":0,"result":{"role":"assistant","x":1}}');
    await until('the answer at the server', () =>
      remote.received.some(
        ({ text }) => text === '{"jsonrpc":"2.0","id":0,"result":{"role":"assistant","x":1}}',
      ),
    );
  });

  test('an answer of the client to nothing that was asked does not leave', async () => {
    await client.initialize();
    client.line('{"jsonrpc":"2.0","id":99,"result":{"n":"stray"}}');
    await client.call();
    expect(remote.received.some(({ text }) => text.includes('stray'))).toBe(false);
  });

  test('a cancelled call is not answered, the server hears of it, and a late answer is dropped', async () => {
    await client.initialize();
    let late = () => {};
    remote.onMessage = ({ method }, { result }) => {
      if (method === 'tools/call') late = () => result({ content: [] });
    };
    client.send({ id: 'slow', method: 'tools/call', params: { name: 'echo' } });
    await until('the call at the server', () => remote.sent('tools/call').length === 1);
    const cancel = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow","x":1}}';
    client.line(cancel);
    await until('the cancellation', () => remote.sent('notifications/cancelled')[0]?.text === cancel);
    late();
    remote.onMessage = politely;
    await client.call();
    expect(client.messages.filter(({ id }) => id === 'slow')).toEqual([]);
  });

  test('ten thousand notifications of the server: none lost, order kept', async () => {
    await client.initialize();
    await openStream();
    for (let n = 0; n < 10_000; n++) {
      remote.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":${n}}}`);
    }
    await client.message(({ params }) => params?.data === 9_999);
    const seen = client.messages.filter(({ method }) => method === 'notifications/message');
    expect(seen.map(({ params }) => params?.data)).toEqual(Array.from({ length: 10_000 }, (_, n) => n));
  });

  test('two hundred calls at once, each answered once with its own answer', async () => {
    await client.initialize();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => client.call({ n })));
    for (const [n, answer] of answers.entries()) expect(JSON.stringify(answer)).toContain(`{\\"n\\":${n}}`);
    expect(new Set(client.messages.map(({ id }) => id)).size).toBe(client.messages.length);
  });

  test('a pretty-printed answer becomes one line', async () => {
    await client.initialize();
    const text = JSON.stringify({ jsonrpc: '2.0', id: 'p', result: { content: [], a: 'x' } }, undefined, 2);
    remote.plainJson = true;
    remote.onMessage = ({ method }, reply) => {
      if (method !== 'tools/call') return;
      if (kind === 'http') reply.response.writeHead(200, { 'content-type': 'application/json' }).end(text);
      else
        for (const stream of remote.streams)
          stream.write(
            `${text
              .split('\n')
              .map((line) => `data: ${line}`)
              .join('\n')}\n\n`,
          );
    };
    client.send({ id: 'p', method: 'tools/call', params: { name: 'echo' } });
    expect(await client.answerTo('p')).toMatchObject({ result: { a: 'x' } });
  });

  test('an answer for nobody and one that comes twice are dropped', async () => {
    await client.initialize();
    await openStream();
    remote.say('{"jsonrpc":"2.0","id":"nobody","result":{}}');
    await client.call({ n: 1 });
    remote.say('{"jsonrpc":"2.0","id":"q2","result":{"again":true}}');
    await client.call({ n: 2 });
    expect(client.messages.some(({ id }) => id === 'nobody')).toBe(false);
    expect(client.messages.filter(({ id }) => id === 'q2')).toHaveLength(1);
  });

  test('rubbish from the server is dropped, and the stream goes on', async () => {
    await client.initialize();
    await openStream();
    remote.say('this is not json');
    remote.say('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"after"}}');
    await client.message(({ params }) => params?.data === 'after');
  });

  test(threat('C16', 'brackets without end harm nobody: in a batch, in a list, in an answer'), async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    remote.onMessage = ({ id, method }, reply) => {
      if (method === 'tools/list') {
        reply.raw(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":[],"x":${deep}}}`);
      } else politely({ id, method } as Json, reply);
    };
    await client.initialize();
    await openStream();
    remote.say(`[{"jsonrpc":"2.0","method":"notifications/message","params":{"data":${deep}}}]`);
    remote.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"last","x":${deep}}}`);
    await client.message(({ params }) => params?.data === 'last');
    expect(await client.request('tools/list')).toMatchObject({ result: { tools: [] } });
    expect(await client.call()).toMatchObject({ result: {} });
  });

  test('a batch of the client is taken apart, each request answered', async () => {
    await client.initialize();
    client.line(
      '[{"jsonrpc":"2.0","id":"b1","method":"ping"},{"jsonrpc":"2.0","id":"b2","method":"tools/call","params":{"name":"echo"}}]',
    );
    await Promise.all([client.answerTo('b1'), client.answerTo('b2')]);
  });

  test('a client that asks before it has introduced itself is served', async () => {
    expect(await client.call({ n: 1 })).toMatchObject({ result: {} });
    expect(remote.sent('initialize')[0]?.json.params?.clientInfo).toMatchObject({ name: 'mcp-whoami' });
  });

  test('every request of the remote leg carries the token and the headers given', async () => {
    await client.close();
    client = startClient(remote.url, { settings: { headers: { 'x-team': 'blue' } } });
    await client.initialize();
    await client.call();
    for (const { headers } of remote.received.slice(-3)) {
      expect(headers).toMatchObject({ authorization: 'Bearer token-1', 'x-team': 'blue' });
    }
  });
});
