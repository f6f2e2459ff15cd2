import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AppError, asAppError } from '../../../src/lib/errors.ts';
import { createHttpClient, type HttpClient } from '../../../src/lib/http.ts';
import { proxyFrom } from '../../../src/lib/proxy.ts';
import { type Authority, createAuthority } from '../../support/certificates.ts';
import { type ConnectProxy, startConnectProxy } from '../../support/connect-proxy.ts';
import { threat } from '../../support/threats.ts';

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
  ['below *.host', { ...named, NO_PROXY: '*.example' }, 'https://mcp.example/', undefined],
  [
    'capitals and a dot at the end',
    { ...named, NO_PROXY: 'MCP.Example.' },
    'https://mcp.example/',
    undefined,
  ],
  ['an address', { ...named, NO_PROXY: '10.1.2.3' }, 'https://10.1.2.3/', undefined],
  ['an address with a port', { ...named, NO_PROXY: '10.1.2.3:8443' }, 'https://10.1.2.3:8443/', undefined],
  ['a subnet', { ...named, NO_PROXY: '10.0.0.0/8' }, 'https://10.1.2.3/', undefined],
  ['another subnet', { ...named, NO_PROXY: '10.0.0.0/16' }, 'https://10.1.2.3/', 'proxy.example:3128'],
  ['no subnet at all', { ...named, NO_PROXY: '10.0.0.0/99' }, 'https://10.1.2.3/', 'proxy.example:3128'],
  ['an IPv6 address', { ...named, NO_PROXY: 'fd00:0::1' }, 'https://[fd00::1]/', undefined],
  ['an IPv6 address in brackets', { ...named, NO_PROXY: '[fd00::1]' }, 'https://[fd00::1]/', undefined],
  ['one with a port', { ...named, NO_PROXY: '[fd00::1]:8443' }, 'https://[fd00::1]/', 'proxy.example:3128'],
  ['an IPv6 subnet', { ...named, NO_PROXY: 'fd00::/8' }, 'https://[fd12::1]/', undefined],
  [
    'a name beside subnets',
    { ...named, NO_PROXY: '10.0.0.0/8' },
    'https://mcp.example/',
    'proxy.example:3128',
  ],
  ['*', { ...named, no_proxy: '*' }, 'https://mcp.example/', undefined],
  ['none named', {}, 'https://mcp.example/', undefined],
])('which proxy: %s', (_, environment, url, expected) => {
  expect(through(environment as Record<string, string>, url)).toBe(expected);
});

test.each([
  ['socks', { ALL_PROXY: 'socks5://proxy.example' }, /ALL_PROXY names a socks5 proxy/],
  [
    'a password that is not encoded',
    { HTTPS_PROXY: 'http://me:pa/ss@proxy.example' },
    /HTTPS_PROXY names what is no URL/,
  ],
  [
    'one of which a part looks like a host',
    { HTTPS_PROXY: 'http://me:p@ss/w@proxy.example:3128' },
    /HTTPS_PROXY names what is no URL/,
  ],
  ['one with #', { HTTPS_PROXY: 'http://me:12#pass@proxy.example' }, /HTTPS_PROXY names what is no URL/],
])(threat('S3', 'a proxy that cannot be used is told, without its text: %s'), (_, environment, expected) => {
  const proxyFor = proxyFrom(environment as Record<string, string>);
  expect(() => proxyFor(new URL('https://mcp.example/'))).toThrow(expected);
  expect(() => proxyFor(new URL('https://mcp.example/'))).not.toThrow(/pa\/ss|@ss|proxy\.example|\b12\b/);
  expect(proxyFor(new URL('https://localhost/'))).toBeUndefined();
});

describe('through a proxy', () => {
  let authority: Authority;
  let server: ReturnType<typeof createTlsServer>;
  let proxy: ConnectProxy;
  let client: HttpClient;
  const portOf = (it: { address(): unknown }) => (it.address() as AddressInfo).port;

  beforeAll(async () => {
    authority = createAuthority();
    const certificate = authority.issue(['mcp.example', 'IP:fd00::1']);
    server = createTlsServer(certificate, (request, response) => {
      response.end(`here is ${request.url}`);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    authority.remove();
  });
  beforeEach(async () => start());
  afterEach(async () => {
    client.close();
    await proxy.stop();
  });

  async function start(certificate?: Parameters<typeof startConnectProxy>[0], credentials = '') {
    await proxy?.stop();
    client?.close();
    proxy = await startConnectProxy(certificate);
    for (const target of ['mcp.example:443', '[fd00::1]:443']) proxy.routes.set(target, portOf(server));
    use(credentials);
  }
  function use(credentials: string, authorities = [authority.pem]) {
    const url = proxy.url.replace('://', `://${credentials}`);
    client = createHttpClient({ userAgent: 'test/1', authorities, proxy: proxyFrom({ HTTPS_PROXY: url }) });
  }
  const read = (url = 'https://mcp.example/') => client.read(new URL(url));
  const failure = () =>
    read().then(
      () => new AppError('internal', 'it was answered'),
      (error: unknown) => asAppError(error),
    );

  test('TLS is with the server, whose name only the proxy resolves; the connection is kept', async () => {
    for (const path of ['/one', '/two']) {
      expect(await read(`https://mcp.example${path}`)).toMatchObject({
        status: 200,
        body: `here is ${path}`,
      });
    }
    expect(proxy.asked).toEqual([{ target: 'mcp.example:443', credentials: undefined }]);
    expect((await read('https://[fd00::1]/')).status).toBe(200);
  });

  test('credentials are decoded, and sent as they are where they cannot be', async () => {
    use('j%C3%B6rg:p%40ss@');
    await read();
    use('me:100%@');
    await read();
    const sent = proxy.asked.map(({ credentials = '' }) =>
      Buffer.from(credentials.slice(6), 'base64').toString(),
    );
    expect(sent).toEqual(['jörg:p@ss', 'me:100%']);
  });

  test('a proxy that is spoken to over TLS, with a certificate of the same authority', async () => {
    await start(authority.issue(['IP:127.0.0.1']));
    expect((await read()).status).toBe(200);
    use('', []);
    expect(await failure()).toMatchObject({
      message: expect.stringMatching(/^the proxy 127\.0\.0\.1:\d+ cannot be reached: the certificate of 127/),
      hint: expect.stringContaining('--ca FILE'),
    });
  });

  test.each([
    [
      '407 without credentials',
      '',
      407,
      'Basic realm="x"',
      /wants credentials \(407\)/,
      /HTTPS_PROXY: http:\/\/user/,
    ],
    ['407 with others', 'me:hidden@', 407, 'Basic realm="x"', /wants other credentials/, /HTTPS_PROXY/],
    ['407 by Windows sign-in', '', 407, 'Negotiate, NTLM', /not supported \(407\)/, /local proxy/],
    ['403', '', 403, '', /does not lead to mcp\.example:443 \(status 403\)/, /NO_PROXY/],
    ['502', '', 502, '', /does not lead to mcp\.example:443 \(status 502\)/, /NO_PROXY/],
  ])('%s is told with the proxy named', async (_, credentials, status, wants, message, hint) => {
    use(credentials);
    proxy.refuse = { status, ...(wants ? { headers: `proxy-authenticate: ${wants}\r\n` } : {}) };
    const error = await failure();
    expect(error).toMatchObject({
      code: 'server_unreachable',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
    expect(JSON.stringify(error) + String(error) + String(error.hint)).not.toContain('hidden');
  });

  test(threat('S3', 'a proxy that is not there is named, without its password'), async () => {
    use('someone:hidden@');
    await proxy.stop();
    const error = await failure();
    expect(error).toMatchObject({ code: 'server_unreachable', cause: { code: 'ECONNREFUSED' } });
    expect(String(error)).toContain(`the proxy 127.0.0.1:${proxy.port} cannot be reached: nothing listens`);
    expect(JSON.stringify(error) + String(error)).not.toContain('hidden');
  });

  test('a proxy that says nothing is named', async () => {
    const silent = createTcpServer(() => {});
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    const environment = { HTTPS_PROXY: `http://127.0.0.1:${portOf(silent)}` };
    client = createHttpClient({ userAgent: 'test/1', proxy: proxyFrom(environment) });
    const url = new URL('https://mcp.example/');
    const way = `through the proxy 127.0.0.1:${portOf(silent)}`;
    await expect(client.read(url, { headersTimeoutMs: 100 })).rejects.toThrow(`${way} within 0.1 s`);
    await expect(client.read(url, { totalTimeoutMs: 100 })).rejects.toThrow('within 0.1 s');
    const unwanted = new AppError('cancelled', 'not wanted any more');
    const started = (end: (reason: Error) => void) => end(unwanted);
    await expect(client.read(url, { started })).rejects.toThrow('not wanted any more');
    silent.close();
  });
});
