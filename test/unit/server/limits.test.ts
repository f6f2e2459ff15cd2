import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { sendRaw } from './support/raw.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await openWorld();
  token = await world.token();
});
afterAll(() => world.close());

const post = (lines: string, body = '', authorized = true) =>
  sendRaw(
    world.server.port,
    `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${world.server.port}\r\n${authorized ? `Authorization: Bearer ${token}\r\n` : ''}${lines}\r\n${body}`,
  );
const json = 'Content-Type: application/json\r\n';
const large = JSON.stringify({
  ...call(),
  params: { name: 'whoami', arguments: { x: 'y'.repeat(5_000_000) } },
});

describe('bodies', () => {
  test.each([5_000_000, 10_000_000_000, 10 ** 15])(
    threat('R15', 'a length of %d is 413 at once, with nothing sent'),
    async (length) => {
      const answer = await post(`${json}Content-Length: ${length}\r\n`);
      expect(answer.status).toBe(413);
      expect(answer.json()).toMatchObject({ error: { code: -32600 } });
    },
  );

  test('5 MB are 413 also for a client that sends them all first', async () => {
    expect((await world.rpc(token, large)).status).toBe(413);
  });

  test(threat('R15', 'chunks are counted: 413 as soon as they are too many'), async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    expect((await post(`${json}Transfer-Encoding: chunked\r\n`, chunk.repeat(70))).status).toBe(413);
  });

  test('4 MiB less a little pass', async () => {
    const message = { ...call(), params: { name: 'whoami', arguments: { x: 'y'.repeat(4_000_000) } } };
    expect((await world.rpc(token, message)).status).toBe(200);
  });

  test(threat('R15', 'without a token the body is not waited for'), async () => {
    expect((await post(`${json}Content-Length: 1000\r\n`, '', false)).status).toBe(401);
    expect((await world.rpc(undefined, large)).status).toBe(401);
  });

  test.each([
    ['none', ''],
    ['text/plain', 'Content-Type: text/plain\r\n'],
    ['a form', 'Content-Type: application/x-www-form-urlencoded\r\n'],
    ['another charset', 'Content-Type: application/json; charset=utf-16\r\n'],
    ['a lookalike', 'Content-Type: application/jsonx\r\n'],
  ])(threat('R15', 'content type %s: 415'), async (_what, lines) => {
    const body = JSON.stringify(call());
    expect((await post(`${lines}Content-Length: ${body.length}\r\n`, body)).status).toBe(415);
  });

  test.each(['application/json', 'Application/JSON; charset=UTF-8', 'application/json;charset="utf-8"'])(
    'content type %s is fine',
    async (type) => {
      const body = JSON.stringify(call());
      expect((await post(`Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n`, body)).status).toBe(
        200,
      );
    },
  );

  test('Expect: 100-continue is answered only behind the gate', async () => {
    const body = JSON.stringify(call());
    const lines = `${json}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n`;
    expect((await post(lines, '', false)).status).toBe(401);
    expect((await post(lines, body)).status).toBe(200);
    let text = '';
    const socket = connect(world.server.port, '127.0.0.1');
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${world.server.port}\r\nAuthorization: Bearer ${token}\r\n${lines}\r\n`,
    );
    await until('100', 5_000, () => text.startsWith('HTTP/1.1 100 Continue'));
    socket.write(body);
    await until('200', 5_000, () => text.includes('HTTP/1.1 200'));
    socket.destroy();
  });

  test('a client that goes away in the middle leaves nothing behind', async () => {
    const socket = connect(world.server.port, '127.0.0.1');
    socket.write(
      `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${world.server.port}\r\nAuthorization: Bearer ${token}\r\n${json}Content-Length: 100\r\n\r\n{"json`,
    );
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    expect((await world.rpc(token, call())).status).toBe(200);
    expect(world.log()).not.toContain('a request failed');
  });
});

test(threat('R17', 'a refused body that never comes does not hold the connection'), async () => {
  const closed = (lines: string) =>
    new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(world.server.port, '127.0.0.1');
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text.slice(9, 12)));
      socket.write(
        `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${world.server.port}\r\n${lines}${json}Content-Length: 9999999999\r\n\r\n`,
      );
    });
  // Node itself would wait 30 s for the rest, longer than this test may take.
  expect(await Promise.all([closed(''), closed(`Authorization: Bearer ${token}\r\n`)])).toEqual([
    '401',
    '413',
  ]);
});

test('a connection carries one request after another', async () => {
  const body = JSON.stringify(call());
  const one = `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:${world.server.port}\r\nAuthorization: Bearer ${token}\r\n${json}Content-Length: ${body.length}\r\n\r\n${body}`;
  let text = '';
  const socket = connect(world.server.port, '127.0.0.1');
  socket.on('data', (chunk) => {
    text += chunk.toString();
  });
  socket.write(one + one);
  await until('two answers', 5_000, () => text.split('HTTP/1.1 200').length === 3);
  socket.write(one);
  await until('three answers', 5_000, () => text.split('HTTP/1.1 200').length === 4);
  socket.destroy();
});
