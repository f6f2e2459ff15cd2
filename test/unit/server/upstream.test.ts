import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeSigningKey } from '../../../src/lib/signing-key.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { call, openWorld, type World } from './support/world.ts';

interface Got {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** The server behind the gate: notes what reaches it, answers as the test says. */
let behind: Server;
let got: Got[];
let answer: (request: Got, res: ServerResponse) => void;
let world: World;

beforeEach(async () => {
  got = [];
  answer = (_, res) =>
    void res.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0"}');
  behind = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req.setEncoding('utf8')) body += chunk;
    const request = { method: req.method ?? '', url: req.url ?? '', headers: req.headers, body };
    got.push(request);
    answer(request, res);
  });
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
  world = await openWorld({
    settings: { upstream: new URL(`${behindOrigin()}/deep/mcp`) },
    identityKey: makeSigningKey(),
  });
});
afterEach(async () => {
  behind.closeAllConnections();
  await new Promise((resolve) => behind.close(resolve));
  await world.close();
});

const behindOrigin = () => `http://127.0.0.1:${(behind.address() as AddressInfo).port}`;
const bearer = async (sub?: string) => ({ authorization: `Bearer ${await world.token(sub)}` });
const last = () => got.at(-1) as Got;

async function identity(of: Got = last()) {
  const { body } = await world.send('GET', '/.well-known/jwks.json');
  const keys = createLocalJWKSet(JSON.parse(body) as JSONWebKeySet);
  const jwt = String(of.headers['x-whoami-identity']);
  return jwtVerify(jwt, keys, { issuer: world.origin, audience: `${behindOrigin()}/deep/mcp` });
}

describe('what is passed on', () => {
  test('the message byte by byte, to the URL behind the gate, and the answer back', async () => {
    answer = (_, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{ "id":1.0 }');
    const message = '{ "jsonrpc":"2.0","id":1.0,  "method":"tools/list" }';
    const answered = await world.rpc(await world.token(), message, { 'mcp-protocol-version': '2025-11-25' });
    expect(answered).toMatchObject({ status: 200, body: '{ "id":1.0 }' });
    expect(last()).toMatchObject({ method: 'POST', url: '/deep/mcp', body: message });
    expect(last().headers['mcp-protocol-version']).toBe('2025-11-25');
  });

  test(
    threat('R19', 'no token, cookie, forwarded header or identity of the caller gets through the gate'),
    async () => {
      const token = await world.token();
      await world.rpc(token, call(), {
        cookie: 'session=1',
        'x-forwarded-user': 'admin',
        forwarded: 'for=1.2.3.4',
        'x-forwarded-for': '1.2.3.4',
        'x-whoami-identity': 'forged',
        X_Whoami_Identity: 'forged',
        'x-api-key': 'k',
      });
      const text = JSON.stringify(last());
      expect(text).not.toContain(token);
      for (const word of ['cookie', 'forwarded', 'forged', 'x-api-key', 'authorization'])
        expect(text).not.toContain(word);
    },
  );

  test('who calls is told by a signed header that lives for a minute', async () => {
    await world.rpc(await world.token('alice'), call());
    const { payload, protectedHeader } = await identity();
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'JWT' });
    expect(payload).toMatchObject({
      sub: 'alice',
      whoami: { sub: 'alice', iss: world.provider.issuer },
    });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
  });

  test('nobody passes without a token', async () => {
    expect((await world.rpc(undefined, call())).status).toBe(401);
    expect((await world.send('GET', '/sse')).status).toBe(401);
    expect((await world.send('POST', '/messages?session=x')).status).toBe(401);
    expect(got).toEqual([]);
  });

  test('the JWKS has no private part', async () => {
    const { body } = await world.send('GET', '/.well-known/jwks.json');
    expect(JSON.parse(body).keys).toHaveLength(1);
    expect(JSON.parse(body).keys[0].d).toBeUndefined();
  });
});

describe('sessions of Streamable HTTP', () => {
  const open = async (sub: string) => {
    answer = (_, res) =>
      void res
        .writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'the-upstreams-own' })
        .end('{}');
    const { headers } = await world.rpc(await world.token(sub), call());
    return headers['mcp-session-id'] ?? '';
  };

  test('work for whom they were opened, under the name that the upstream gave', async () => {
    const session = await open('alice');
    expect(session).not.toContain('the-upstreams-own');
    await world.rpc(await world.token('alice'), call(), { 'mcp-session-id': session });
    expect(last().headers['mcp-session-id']).toBe('the-upstreams-own');
    await world.send('DELETE', '/mcp', { ...(await bearer('alice')), 'mcp-session-id': session });
    expect(last()).toMatchObject({ method: 'DELETE', headers: { 'mcp-session-id': 'the-upstreams-own' } });
  });

  test(threat('R10', 'are nothing to anybody else, and cannot be guessed'), async () => {
    const session = await open('alice');
    const count = got.length;
    const [name = '', proof = ''] = session.split('.');
    const tries = [
      'the-upstreams-own',
      '',
      '.',
      '__proto__',
      name,
      `${name}.`,
      `${name}.${proof.slice(1)}`,
      `${name}.${proof}.x`,
    ];
    for (const [sub, handle] of [['bob', session], ...tries.map((one) => ['alice', one])]) {
      const headers = { 'mcp-session-id': String(handle) };
      expect((await world.rpc(await world.token(sub), call(), headers)).status).toBe(404);
    }
    expect(got).toHaveLength(count);
  });
});

describe('HTTP+SSE', () => {
  /** An upstream that names `address` as its endpoint. */
  const streams = (address: string) => {
    answer = ({ method }, res) => {
      if (method === 'POST') return void res.writeHead(202).end('Accepted');
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`: hello\n\nevent: endpoint\ndata: ${address}\n\n`);
      res.write('event: message\ndata: {"ü":1}\n\n');
    };
  };
  const open = async (sub: string) => {
    const stop = new AbortController();
    const response = await fetch(`${world.origin}/sse`, {
      headers: { ...(await bearer(sub)), accept: 'text/event-stream' },
      signal: stop.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const read = async (until_: RegExp) => {
      while (!until_.test(text)) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: '' };
        if (done) break;
        text += value;
      }
      return text;
    };
    return { response, read, close: () => stop.abort() };
  };

  test('the endpoint is ours, everything else is as it came', async () => {
    streams('/deep/messages?sessionId=42&x=y');
    const stream = await open('alice');
    const text = await stream.read(/ü/);
    const endpoint = /event: endpoint\ndata: (\/messages\?session=\S+)\n\n/.exec(text)?.[1] ?? '';
    expect(text.replace(endpoint, 'E')).toBe(
      ': hello\n\nevent: endpoint\ndata: E\n\nevent: message\ndata: {"ü":1}\n\n',
    );
    const headers = { ...(await bearer('alice')), 'content-type': 'application/json' };
    const posted = await world.send('POST', endpoint, headers, JSON.stringify(call()));
    expect(posted).toMatchObject({ status: 202, body: 'Accepted' });
    expect(last()).toMatchObject({ method: 'POST', url: '/deep/messages?sessionId=42&x=y' });
    expect((await identity()).payload.sub).toBe('alice');
    const others = { ...(await bearer('bob')), 'content-type': 'application/json' };
    const count = got.length;
    expect((await world.send('POST', endpoint, others, JSON.stringify(call()))).status).toBe(404);
    expect(got).toHaveLength(count);
    stream.close();
  });

  test.each(['https://evil.test/messages', '//evil.test/m', 'http://u:p@127.0.0.1/m', 'javascript:x'])(
    threat('C11', 'an endpoint elsewhere (%s) ends the stream'),
    async (address) => {
      streams(address);
      const stream = await open('alice');
      const text = await stream.read(/ü/).catch(() => '');
      expect(text).not.toContain('endpoint');
    },
  );

  test('a stream ends with its token, and not before', async () => {
    streams('/m?s=1');
    const stream = await open('alice');
    await stream.read(/ü/);
    world.pass(3_600_000 + 61_000);
    await expect(stream.read(/never/)).resolves.toContain('ü');
  }, 15_000);

  test('when our client leaves, so do we', async () => {
    let closed = false;
    streams('/m?s=1');
    const honest = answer;
    answer = (request, res) => {
      res.on('close', () => {
        closed = true;
      });
      honest(request, res);
    };
    const stream = await open('alice');
    await stream.read(/ü/);
    stream.close();
    await until('the end of the stream behind the gate', 5000, () => closed);
  });
});

describe('an upstream in trouble', () => {
  const code = (body: string) => (JSON.parse(body) as { error: { code: number } }).error.code;

  test('not there: 503 with Retry-After before anything ran', async () => {
    const token = await world.token();
    await new Promise((resolve) => behind.close(resolve));
    const answered = await world.rpc(token, call());
    expect(answered).toMatchObject({ status: 503, headers: { 'retry-after': '2' } });
    expect(code(answered.body)).toBe(-32603);
    await new Promise<void>((resolve) => behind.listen(0, resolve));
  });

  test('broken off: 502, it may have run', async () => {
    answer = (_, res) => res.destroy();
    const answered = await world.rpc(await world.token(), call());
    expect(answered.status).toBe(502);
    expect(answered.body).toContain('may have run');
  });

  test.each([401, 403, 302, 307])('its own %i is none for our client', async (status) => {
    answer = (_, res) =>
      void res.writeHead(status, { 'www-authenticate': 'Basic', location: 'https://evil.test/' }).end();
    const answered = await world.rpc(await world.token(), call());
    expect(answered.status).toBe(502);
    expect(answered.headers.location ?? answered.headers['www-authenticate']).toBeUndefined();
    expect(got).toHaveLength(1);
  });

  test.each([400, 404, 405, 429, 500, 503])('its %i is passed on', async (status) => {
    answer = (_, res) =>
      void res.writeHead(status, { 'content-type': 'application/json', 'retry-after': '7' }).end('{"x":1}');
    const answered = await world.rpc(await world.token(), call());
    expect(answered).toMatchObject({ status, body: '{"x":1}', headers: { 'retry-after': '7' } });
  });

  test(threat('R15', 'what is no JSON, or too large, does not get through the gate'), async () => {
    const token = await world.token();
    expect((await world.rpc(token, '{"half":')).status).toBe(400);
    expect((await world.rpc(token, JSON.stringify('x'.repeat(4_200_000)))).status).toBe(413);
    expect(got).toEqual([]);
  });
});
