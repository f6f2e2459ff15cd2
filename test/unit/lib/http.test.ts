import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpClient } from '../../../src/lib/http.ts';
import { describeNetworkError } from '../../../src/lib/network-error.ts';
import { threat } from '../../support/threats.ts';

const client = createHttpClient({ userAgent: 'test/1' });
let server: Server;
let at: (path: string) => URL;
let afterRedirect = 0;

beforeAll(async () => {
  server = createServer((req, res) => {
    if (req.url === '/echo') res.end(JSON.stringify({ method: req.method, headers: req.headers }));
    else if (req.url === '/big') res.end('x'.repeat(5000));
    else if (req.url === '/endless') {
      const more = () => res.write('x'.repeat(65_536), () => res.destroyed || setImmediate(more));
      more();
    } else if (req.url === '/silent') return;
    else if (req.url === '/slow-body') res.write('x');
    else if (req.url === '/gzip')
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1e6)));
    else if (req.url === '/redirect') res.writeHead(307, { location: '/after' }).end();
    else if (req.url === '/after') afterRedirect++;
    else if (req.url === '/switch')
      req.socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    else res.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at = (path) => new URL(path, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterAll(() => {
  client.close();
  server.closeAllConnections();
  server.close();
});

test('sends what it is told and says who it is', async () => {
  const answer = await client.read(at('/echo'), { method: 'POST', body: 'é', headers: { 'x-a': 'b' } });
  expect(JSON.parse(answer.body)).toMatchObject({
    method: 'POST',
    headers: { 'x-a': 'b', 'user-agent': 'test/1', 'content-length': '2' },
  });
});

describe('budgets', () => {
  test.each(['/big', '/endless'])(threat('C13', '%s is cut off at the limit'), async (path) => {
    await expect(client.read(at(path), { maxBytes: 1000 })).rejects.toMatchObject({ code: 'too_large' });
  });
  test.each(['/silent', '/slow-body'])(threat('C13', '%s ends at the time limit'), async (path) => {
    const read = client.read(at(path), { totalTimeoutMs: 150, headersTimeoutMs: 5000 });
    await expect(read).rejects.toMatchObject({ code: 'timeout' });
  });
  test(threat('C13', 'headers have a limit of their own'), async () => {
    await expect(client.open(at('/silent'), { headersTimeoutMs: 100 })).rejects.toMatchObject({
      code: 'timeout',
    });
  });
  test('a change of protocol, not asked for, is refused at once', async () => {
    await expect(client.read(at('/switch'), { totalTimeoutMs: 3000 })).rejects.toMatchObject({
      code: 'remote_error',
    });
  });
  test(threat('C13', 'a compressed answer, not asked for, is refused before it is unpacked'), async () => {
    await expect(client.read(at('/gzip'))).rejects.toMatchObject({ code: 'remote_error' });
  });
});

test(threat('C9', 'a redirect is an answer, not a journey'), async () => {
  expect((await client.read(at('/redirect'))).status).toBe(307);
  expect(afterRedirect).toBe(0);
});

test('an aborted read ends at once with the reason given', async () => {
  const controller = new AbortController();
  const read = client.read(at('/silent'), { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(read).rejects.toThrow();
});

test('a machine without IPv6 is told so', () => {
  const error = Object.assign(new Error('connect ENETUNREACH ::1'), { code: 'ENETUNREACH' });
  expect(describeNetworkError(error, new URL('http://[::1]:3001/'))).toContain('no way to IPv6 addresses');
  expect(describeNetworkError(error, new URL('http://a.example/'))).toBe('http://a.example does not answer');
});

test('https to a port that speaks plain http is told in words, without a line of OpenSSL', async () => {
  const url = new URL(at('/').href.replace('http:', 'https:'));
  const error = await client.read(url).catch((e: unknown) => e);
  expect(describeNetworkError(error, url)).toBe(
    `no TLS connection to ${url.host} can be made (wrong version number)`,
  );
});

test('a refused connection has a sentence', async () => {
  const url = new URL('http://127.0.0.1:1/');
  const error = await client.read(url).catch((e: unknown) => e);
  expect(describeNetworkError(error, url)).toBe('nothing listens at http://127.0.0.1:1');
});
