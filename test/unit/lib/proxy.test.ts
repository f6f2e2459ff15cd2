import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpClient } from '../../../src/lib/http.ts';
import { proxyFrom } from '../../../src/lib/proxy.ts';

const through = (environment: Record<string, string>, url: string) =>
  proxyFrom(environment)(new URL(url))?.host;
const named = { HTTPS_PROXY: 'http://proxy.example:3128' };

test.each([
  ['https', named, 'https://mcp.example/', 'proxy.example:3128'],
  [
    'small letters',
    { https_proxy: 'http://proxy.example:3128' },
    'https://mcp.example/',
    'proxy.example:3128',
  ],
  ['no scheme', { HTTPS_PROXY: 'proxy.example:3128' }, 'https://mcp.example/', 'proxy.example:3128'],
  ['ALL_PROXY', { ALL_PROXY: 'http://proxy.example:1' }, 'https://mcp.example/', 'proxy.example:1'],
  ['plain http', named, 'http://mcp.example/', undefined],
  ['loopback', named, 'https://127.0.0.1:8443/', undefined],
  ['localhost', named, 'https://localhost/', undefined],
  ['::1', named, 'https://[::1]/', undefined],
  ['a listed host', { ...named, NO_PROXY: 'other.example, mcp.example' }, 'https://mcp.example/', undefined],
  ['below a listed host', { ...named, NO_PROXY: '.example' }, 'https://mcp.example/', undefined],
  [
    'a host that only ends alike',
    { ...named, NO_PROXY: 'cp.example' },
    'https://mcp.example/',
    'proxy.example:3128',
  ],
  ['a listed port', { ...named, NO_PROXY: 'mcp.example:443' }, 'https://mcp.example/', undefined],
  ['another port', { ...named, NO_PROXY: 'mcp.example:8443' }, 'https://mcp.example/', 'proxy.example:3128'],
  ['*', { ...named, no_proxy: '*' }, 'https://mcp.example/', undefined],
  ['none named', {}, 'https://mcp.example/', undefined],
  ['not a proxy of ours', { HTTPS_PROXY: 'socks5://proxy.example' }, 'https://mcp.example/', undefined],
])('which proxy: %s', (_, environment, url, expected) => {
  expect(through(environment as Record<string, string>, url)).toBe(expected);
});

describe('through a proxy', () => {
  let folder: string;
  let server: ReturnType<typeof createTlsServer>;
  let proxy: Server;
  let tunnels = 0;
  const portOf = (it: { address(): unknown }) => (it.address() as AddressInfo).port;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'proxy-'));
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const how = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mcp.example';
    const name = ['-addext', 'subjectAltName=DNS:mcp.example'];
    execFileSync('openssl', ['req', ...how.split(' '), ...name, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    });
    server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      response.end(`here is ${request.url}`);
    });
    proxy = createServer();
    proxy.on('connect', (_, socket) => {
      tunnels++;
      const onward = connect(portOf(server), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
      for (const end of [socket, onward]) end.on('error', () => {});
    });
    for (const it of [server, proxy]) await new Promise<void>((done) => it.listen(0, '127.0.0.1', done));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    proxy.closeAllConnections();
    proxy.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('TLS is with the server, whose name only the proxy resolves; the connection is kept', async () => {
    const ca = readFileSync(join(folder, 'cert.pem'), 'utf8');
    const environment = { HTTPS_PROXY: `http://127.0.0.1:${portOf(proxy)}` };
    const client = createHttpClient({ userAgent: 'test/1', ca, proxy: proxyFrom(environment) });
    for (const path of ['/one', '/two']) {
      const answer = await client.read(new URL(`https://mcp.example${path}`));
      expect(answer).toMatchObject({ status: 200, body: `here is ${path}` });
    }
    expect(tunnels).toBe(1);
    client.close();
  });

  test('a proxy that is not there is named, without its password', async () => {
    const proxyFor = proxyFrom({ HTTPS_PROXY: 'http://someone:hidden@127.0.0.1:9' });
    const client = createHttpClient({ userAgent: 'test/1', proxy: proxyFor });
    const failure = await client.read(new URL('https://mcp.example/')).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'server_unreachable' });
    expect(String(failure)).toContain('the proxy 127.0.0.1:9');
    expect(JSON.stringify(failure) + String(failure)).not.toContain('hidden');
    client.close();
  });
});
