import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const prm = '/.well-known/oauth-protected-resource';
const mirror = '/.well-known/oauth-authorization-server';

describe('protected resource metadata (RFC 9728)', () => {
  test.each(['', '/sse', '/mcp'])('of "%s", in the name that the client used', async (resource) => {
    for (const name of ['localhost', '127.0.0.1', '[::1]']) {
      const origin = `http://${name}:${world.server.port}`;
      const answer = await world.send('GET', `${prm}${resource}`, { Host: origin.slice(7) });
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'content-type': 'application/json',
        'cache-control': 'max-age=300',
        'access-control-allow-origin': '*',
      });
      expect(answer.json()).toEqual({
        resource: `${origin}${resource}`,
        authorization_servers: [world.provider.issuer],
        scopes_supported: ['openid', 'profile', 'email'],
        bearer_methods_supported: ['header'],
        resource_name: 'WhoAmI',
      });
    }
  });

  test('no other resource has any', async () => {
    for (const path of ['/messages', '/other', '/']) {
      expect((await world.send('GET', `${prm}${path}`)).status).toBe(404);
    }
  });

  test('email is not asked of a provider that does not know it', async () => {
    const { openTestProvider } = await import('./support/provider.ts');
    const provider = await openTestProvider();
    provider.metadata = { ...provider.metadata, scopes_supported: ['openid', 'profile'] };
    const own = await openWorld({ provider });
    expect((await own.send('GET', prm)).json().scopes_supported).toEqual(['openid', 'profile']);
    await own.close();
    await provider.close();
  });
});

test.each(['', '/sse', '/mcp'])("the provider's own document is mirrored unchanged at %s", async (path) => {
  const answer = await world.send('GET', `${mirror}${path}`);
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('application/json');
  expect(answer.body).toBe(JSON.stringify(world.provider.metadata));
  expect((await world.send('HEAD', `${mirror}${path}`)).status).toBe(200);
});

describe('with a public URL below a path', () => {
  let behind: World;
  const site = 'https://who.example/team';
  const host = { Host: 'who.example' };
  beforeAll(async () => {
    behind = await openWorld({
      provider: world.provider,
      settings: { publicUrl: new URL(`${site}/`) },
    });
  });
  afterAll(() => behind.close());

  test('there is one public origin, and the resources are below its path', () => {
    expect(behind.server.origins).toEqual(['https://who.example']);
    expect(behind.server.resources).toEqual([site, `${site}/sse`, `${site}/mcp`]);
    expect(behind.log()).toContain(`${prm}/team`);
  });

  test.each(['', '/team'])('the proxy may pass "%s" on or not', async (prefix) => {
    for (const resource of ['', '/sse', '/mcp']) {
      const document = await behind.send('GET', `${prm}${prefix}${resource}`, host);
      expect(document.json().resource).toBe(`${site}${resource}`);
      expect((await behind.send('GET', `${mirror}${prefix}${resource}`, host)).status).toBe(200);
    }
    const refused = await behind.send('GET', `${prefix}/sse`, host);
    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain(`"https://who.example${prm}/team/sse"`);
    const token = await world.provider.jwt({ claims: { aud: `${site}/mcp` } });
    const answer = await behind.send(
      'POST',
      `${prefix}/mcp`,
      { ...host, 'content-type': 'application/json', authorization: `Bearer ${token}` },
      JSON.stringify(call()),
    );
    expect(answer.status).toBe(200);
  });

  test('the endpoint event leads through the proxy', async () => {
    const { openStream } = await import('./support/raw.ts');
    const token = await world.provider.jwt({ claims: { aud: site } });
    const stream = await openStream(behind.server.port, { ...host, authorization: `Bearer ${token}` });
    expect(stream.endpoint).toMatch(/^\/team\/messages\?sessionId=/);
    stream.close();
  });

  test('the default port may be written; a loopback name still reaches it and is told the public URL', async () => {
    expect((await behind.send('GET', '/', { Host: 'who.example:443' })).status).toBe(200);
    expect((await behind.send('GET', '/', { Host: 'who.example:8443' })).status).toBe(403);
    const local = await behind.send('GET', `${prm}/sse`, { Host: `localhost:${behind.server.port}` });
    expect(local.json().resource).toBe(`${site}/sse`);
  });

  test("tokens for the host's root or for a sibling path are for somebody else", async () => {
    for (const aud of ['https://who.example', 'https://who.example/', 'https://who.example/teams/mcp']) {
      const token = await world.provider.jwt({ claims: { aud } });
      const answer = await behind.send('GET', '/sse', { ...host, authorization: `Bearer ${token}` });
      expect(answer.status).toBe(401);
    }
  });

  test('its own pages may talk to it', async () => {
    const answer = await behind.send('GET', '/mcp', { ...host, Origin: 'https://who.example' });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([
      401,
      'https://who.example',
    ]);
  });
});
