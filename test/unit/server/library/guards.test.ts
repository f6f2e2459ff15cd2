import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../../support/threats.ts';
import { json } from '../support/provider.ts';
import { forms, openProtected, type Protected } from './support/protected.ts';

describe.each(forms)('in front of %s', (form) => {
  let it: Protected;
  beforeAll(async () => {
    it = await openProtected({
      form,
      gate: () => ({ allowOrigin: ['https://app.example.com'], allow: { sub: ['alice', 'bob'] } }),
    });
  });
  afterAll(() => it.close());

  const bearer = async (sub = 'alice', claims = {}) => ({
    authorization: `Bearer ${await it.token(sub, claims)}`,
  });
  const metadata = () => `resource_metadata="${it.origin}/.well-known/oauth-protected-resource/mcp"`;
  const fromLocalhost = () => ({ host: `localhost:${it.port}` });

  test('a good token comes in, and tells who it is', async () => {
    const answer = await it.send('POST', '/mcp', await bearer('bob'), '{}');
    expect(answer.status).toBe(200);
    expect(answer.json()).toEqual({ sub: 'bob' });
    const { identity, auth } = it.seen.at(-1) ?? {};
    expect(identity).toMatchObject({ subject: 'bob', issuer: it.provider.issuer, clientId: 'test-client' });
    expect(auth).toMatchObject({
      clientId: 'test-client',
      scopes: ['openid', 'profile', 'email'],
      expiresAt: expect.any(Number),
      resource: new URL(`http://127.0.0.1:${it.port}/mcp`),
      extra: { issuer: it.provider.issuer, subject: 'bob', claims: { name: 'User bob' } },
    });
  });

  test('without a token: 401 on every path, in the name that the client used', async () => {
    for (const path of ['/mcp', '/mcp/more', '/', '/anything?x=1', '/.well-known/other']) {
      const answer = await it.send('GET', path, fromLocalhost());
      expect(answer.status, path).toBe(401);
      expect(answer.headers['www-authenticate']).toBe(`Bearer ${metadata()}, scope="openid profile email"`);
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  test('a bad token: 401 invalid_token; one without the scope, or of somebody who may not: 403', async () => {
    const bad = await it.send('POST', '/mcp', { ...fromLocalhost(), authorization: 'Bearer nonsense' }, '{}');
    expect(bad.status).toBe(401);
    expect(bad.headers['www-authenticate']).toMatch(/^Bearer error="invalid_token"/);
    const narrow = await it.send('POST', '/mcp', await bearer('alice', { scope: 'openid' }), '{}');
    expect(narrow.status).toBe(403);
    expect(narrow.headers['www-authenticate']).toMatch(
      /^Bearer error="insufficient_scope".*scope="openid profile"$/,
    );
    const mallory = await it.send('POST', '/mcp', await bearer('mallory'), '{}');
    expect([mallory.status, mallory.json().error]).toEqual([403, 'access_denied']);
    expect(mallory.headers).not.toHaveProperty('www-authenticate');
  });

  test('a token that is for another resource: 401', async () => {
    const headers = await bearer('alice', { aud: `${it.origin}/other` });
    expect((await it.send('GET', '/mcp', headers)).status).toBe(401);
  });

  test('while nobody can tell about a token: 503 with Retry-After, as JSON-RPC for a POST', async () => {
    it.provider.instead.set('userinfo', (_req, res) => json(res, 503, {}));
    const headers = { authorization: `Bearer ${it.provider.opaque('alice')}` };
    const answer = await it.send('POST', '/mcp', headers, '{}');
    it.provider.instead.clear();
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2']);
    expect(answer.json()).toMatchObject({ jsonrpc: '2.0', error: { code: -32603 } });
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  });

  test('the metadata of the resource, and that of the authorization server, are public', async () => {
    const own = await it.send('GET', '/.well-known/oauth-protected-resource/mcp', {
      ...fromLocalhost(),
      origin: 'https://anywhere.example',
    });
    expect([own.status, own.headers['access-control-allow-origin']]).toEqual([200, '*']);
    expect(own.json()).toEqual({
      resource: `${it.origin}/mcp`,
      authorization_servers: [it.provider.issuer],
      scopes_supported: ['openid', 'profile', 'email'],
      bearer_methods_supported: ['header'],
      resource_name: 'MCP server',
    });
    for (const path of ['', '/mcp']) {
      const mirrored = await it.send('GET', `/.well-known/oauth-authorization-server${path}`);
      expect(mirrored.json()).toEqual(it.provider.metadata);
    }
    const head = await it.send('HEAD', '/.well-known/oauth-protected-resource/mcp');
    expect([head.status, head.body]).toEqual([200, '']);
    expect((await it.send('POST', '/.well-known/oauth-protected-resource/mcp')).status).toBe(405);
  });

  test(threat('R13', 'behind the library a foreign Host is refused before anything else'), async () => {
    const before = it.seen.length;
    const { authorization } = await bearer();
    for (const host of ['evil.example', `127.0.0.1.evil.example:${it.port}`, 'localhost', 'localhost:1']) {
      for (const path of ['/mcp', '/.well-known/oauth-protected-resource/mcp', '/unknown']) {
        const answer = await it.send('GET', path, { host, authorization });
        expect(answer.status, `${host} ${path}`).toBe(403);
        expect(answer.json().error).toBe('forbidden_host');
      }
    }
    expect(it.seen.length).toBe(before);
  });

  test(threat('R13', 'behind the library a page of a foreign origin is refused, token or not'), async () => {
    const before = it.seen.length;
    const { authorization } = await bearer();
    for (const origin of ['https://evil.example', 'null', 'https://app.example.com.evil.example']) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD']) {
        const answer = await it.send(method, '/mcp', { origin, authorization });
        expect(answer.status, `${origin} ${method}`).toBe(403);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
      }
    }
    expect(it.seen.length).toBe(before);
  });

  test('a page that is let in can ask first, and read every answer', async () => {
    for (const origin of ['https://app.example.com', 'http://localhost:6274']) {
      const preflight = await it.send('OPTIONS', '/mcp', {
        origin,
        'access-control-request-headers': 'mcp-param-city',
      });
      expect([preflight.status, preflight.body]).toEqual([204, '']);
      expect(preflight.headers['access-control-allow-headers']).toMatch(/Authorization.*, mcp-param-city$/);
      const refused = await it.send('GET', '/mcp', { origin });
      const answered = await it.send('GET', '/mcp', { origin, ...(await bearer()) });
      expect([refused.status, answered.status]).toEqual([401, 200]);
      for (const answer of [preflight, refused, answered]) {
        expect(answer.headers['access-control-allow-origin']).toBe(origin);
        expect(answer.headers['access-control-expose-headers']).toContain('WWW-Authenticate');
        expect(answer.headers.vary).toContain('Origin');
      }
    }
  });

  test(threat('R14', 'behind the library forwarded headers move no address and open nothing'), async () => {
    const forged = {
      ...fromLocalhost(),
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-uri': '/health',
      'x-original-url': '/health',
      forwarded: 'host=evil.example;proto=https',
      x_forwarded_host: 'evil.example',
    };
    const refused = await it.send('GET', '/mcp', forged);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain(metadata());
    const document = await it.send('GET', '/.well-known/oauth-protected-resource/mcp', forged);
    expect(document.json().resource).toBe(`${it.origin}/mcp`);
    const identity = { ...forged, 'x-whoami-identity': 'e30.e30.e30', 'x-forwarded-user': 'alice' };
    expect((await it.send('GET', '/mcp', identity)).status).toBe(401);
  });

  test(threat('R19', 'behind the library nobody finds the token'), async () => {
    const token = await it.token();
    await it.send('GET', '/mcp', [
      ['Authorization', `Bearer ${token}`],
      ['X-Other', 'stays'],
    ]);
    const last = it.seen.at(-1);
    expect(last?.headers).not.toHaveProperty('authorization');
    expect(last?.headers['x-other']).toBe('stays');
    expect(last?.rawHeaders).toContain('stays');
    expect(last?.auth.token).toBe('');
    expect(JSON.stringify(last)).not.toContain(token);
    expect(JSON.stringify(it.log)).not.toContain(token);
  });

  test('more than one token in a request is none', async () => {
    const { authorization } = await bearer();
    const twice = await it.send('GET', '/mcp', [
      ['Authorization', authorization],
      ['Authorization', authorization],
    ]);
    // Whoever speaks fetch has joined the two already.
    expect(twice.status).toBe(form === 'fetch' ? 401 : 400);
    expect((await it.send('GET', '/mcp?access_token=x', { authorization })).status).toBe(400);
  });

  test('the token is left where it was for a server that exchanges it', async () => {
    const exchanging = await openProtected({
      form,
      provider: it.provider,
      gate: () => ({ passToken: true }),
    });
    const token = await exchanging.token();
    await exchanging.send('GET', '/mcp', { authorization: `Bearer ${token}` });
    await exchanging.close();
    expect(exchanging.seen[0]?.auth.token).toBe(token);
    expect(exchanging.seen[0]?.headers.authorization).toBe(`Bearer ${token}`);
  });
});
