import dns from 'node:dns';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createNetworkGuard } from '../../../src/auth/discovery/private-network.ts';
import { createReach, exchangeWith } from '../../../src/auth/discovery/reach.ts';
import { createHttpClient } from '../../../src/lib/http.ts';
import { threat } from '../../support/threats.ts';
import { listen } from './support/http.ts';
import { refusal } from './support/world.ts';

afterEach(() => vi.restoreAllMocks());

describe('addresses named by metadata', () => {
  const server = (href: string) => new URL(href);
  const isPublic = async () => ['203.0.113.7', '2606:4700::1'];
  const isInternal = async () => ['10.0.0.5'];

  it.each([
    'http://127.0.0.1:1/',
    'https://10.0.0.1/',
    'https://[::1]/',
    'https://localhost/',
    'https://[fd00::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[64:ff9b::192.168.0.1]/',
    'https://[2002:a00:1::]/',
    'https://0x7f.1/',
    'https://2130706433/',
    'https://localhost./',
    'https://auth.localhost/',
  ])(threat('C8', 'a public server may not send us to %s'), async (target) => {
    const guard = createNetworkGuard(server('https://mcp.example.com/mcp'), false, isPublic);
    const error = await refusal(guard.check(new URL(target)));
    expect(error.code).toBe('insecure_url');
    expect(error.hint).toContain('--allow-private-network');
  });

  it.each<[string, string[]]>([
    ['a private address beside its public one', ['203.0.113.7', '10.0.0.5']],
    ['a loopback address beside its public one', ['::1', '203.0.113.7']],
  ])(threat('C8', 'a public server does not become an internal one by %s'), async (_name, addresses) => {
    const guard = createNetworkGuard(server('https://mcp.example.com/'), false, async () => addresses);
    const error = await refusal(guard.check(new URL('https://10.0.0.1/')));
    expect(error.code).toBe('insecure_url');
  });

  it(threat('C8', 'nor by another address once we have been at its public one'), async () => {
    const answers = [['203.0.113.7'], ['10.0.0.5']];
    vi.spyOn(dns, 'lookup').mockImplementation(((_host: string, _options: unknown, done: never) => {
      const all = (answers.shift() ?? []).map((address) => ({ address, family: 4 }));
      (done as (error: null, all: unknown) => void)(null, all);
    }) as unknown as typeof dns.lookup);
    const guard = createNetworkGuard(server('https://mcp.example.com/'), false);
    await new Promise((done) => guard.lookupServer('mcp.example.com', { all: true }, done));
    const error = await refusal(guard.check(new URL('https://10.0.0.1/')));
    expect(error.code).toBe('insecure_url');
  });

  it('--allow-private-network, or a server that is internal itself, may', async () => {
    const target = new URL('https://10.0.0.1/');
    await createNetworkGuard(server('https://mcp.example.com/'), true, isPublic).check(target);
    await createNetworkGuard(server('https://mcp.corp/'), false, isInternal).check(target);
    await createNetworkGuard(server('http://127.0.0.1:3001/'), false).check(target);
  });

  it('a name that could not be resolved once is asked for again', async () => {
    const answers = [Promise.reject(new Error('no network yet')), Promise.resolve(['10.0.0.5'])];
    const guard = createNetworkGuard(
      server('https://mcp.corp/'),
      false,
      () => answers.shift() ?? isInternal(),
    );
    const target = new URL('https://10.0.0.1/');
    expect((await refusal(guard.check(target))).code).toBe('insecure_url');
    await guard.check(target);
  });

  it.each([
    'http://169.254.169.254/',
    'https://169.254.169.254/',
    'https://[fe80::1]/',
    'https://[64:ff9b::a9fe:a9fe]/',
    'https://[::ffff:169.254.169.254]/',
  ])(threat('C8', 'link-local never: %s'), async (target) => {
    const error = await refusal(
      createNetworkGuard(server('http://127.0.0.1:3001/'), true).check(new URL(target)),
    );
    expect(error.code).toBe('insecure_url');
    expect(error.hint).toBeUndefined();
  });

  it(threat('C8', 'decides on the address that a name resolves to: nothing is sent'), async () => {
    const hits: string[] = [];
    const internal = await listen((request, response) => {
      hits.push(request.url ?? '');
      response.end('{}');
    });
    const real = dns.lookup.bind(dns);
    vi.spyOn(dns, 'lookup').mockImplementation(((host: string, options: dns.LookupAllOptions, done: never) =>
      real(host === 'rebound.test' ? '127.0.0.1' : host, options, done)) as unknown as typeof dns.lookup);
    const http = createHttpClient({ userAgent: 'test' });
    try {
      const url = `http://rebound.test:${internal.port}/token`;
      const settings = { allowHttp: [new URL(url).origin] };
      const ask = (mcp: string) =>
        exchangeWith(createReach(http, { server: new URL(mcp), ...settings }), url, 'it', {});
      const error = await refusal(ask('https://203.0.113.7/mcp'));
      expect(error.code).toBe('insecure_url');
      expect(hits).toEqual([]);
      expect((await ask('http://127.0.0.1:3001/mcp')).status).toBe(200);
      expect(hits).toEqual(['/token']);
    } finally {
      http.close();
      await internal.close();
    }
  });
});
