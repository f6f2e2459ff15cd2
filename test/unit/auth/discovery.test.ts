import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { discover } from '../../../src/auth/discovery.ts';
import { metadataForms } from '../../../src/auth/issuer-metadata.ts';
import { createReach } from '../../../src/auth/reach.ts';
import { covers } from '../../../src/auth/resource-metadata.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import { json, type Listening, listen } from './support/http.ts';
import { startIssuer } from './support/issuer.ts';
import { openMcp, startResource } from './support/resource.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

function find(more: Partial<SignInSettings> = {}) {
  const edges = world.process();
  const settings = { ...world.settings, ...more };
  return discover(createReach(edges.http, settings), settings, edges.log);
}

describe('where the metadata is', () => {
  it('at the address of the challenge', async () => {
    world.resource.behaviour.metadataAt = ['/somewhere/else'];
    world.resource.behaviour.challenge = `resource_metadata="${world.resource.origin}/somewhere/else"`;
    expect(await find()).toMatchObject({ resource: world.resource.url.href, scopes: ['openid', 'profile'] });
  });

  it('path inserted, when the challenge names none', async () => {
    world.resource.behaviour.challenge = 'realm="x"';
    expect(await find()).toMatchObject({ resource: world.resource.url.href });
  });

  it('path inserted, when there is nothing at the address of the challenge', async () => {
    world.resource.behaviour.challenge = `resource_metadata="${world.resource.origin}/gone"`;
    expect(await find()).toMatchObject({ resource: world.resource.url.href });
  });

  it('at the root, describing the whole origin', async () => {
    world.resource.behaviour.challenge = 'realm="x"';
    world.resource.behaviour.metadataAt = ['/.well-known/oauth-protected-resource'];
    world.resource.behaviour.metadata = (it) => ({ ...it, resource: world.resource.origin });
    expect(await find()).toMatchObject({ resource: world.resource.origin });
  });

  it('the challenge decides which scopes to ask for', async () => {
    world.resource.behaviour.challenge = `resource_metadata="${world.resource.origin}/.well-known/oauth-protected-resource/mcp", scope="openid mail"`;
    expect(await find()).toMatchObject({ scopes: ['openid', 'mail'] });
  });

  it('a server on /sse is asked by GET first, one on /mcp by POST', async () => {
    await find();
    expect(world.resource.seen[0]).toBe('POST /mcp');
    const sse = world.keep(await startResource(() => world.issuer.issuer, {}, '/sse'));
    await find({ server: sse.url });
    expect(sse.seen[0]).toBe('GET /sse');
  });

  it('a redirect within the origin is followed when asking the server', async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      if (url.pathname !== '/moved') return undefined;
      response.writeHead(307, { location: '/mcp' }).end();
      return true;
    };
    world.resource.behaviour.metadata = (it) => ({ ...it, resource: world.resource.origin });
    expect(await find({ server: new URL('/moved', world.resource.url) })).toMatchObject({
      resource: world.resource.origin,
    });
  });
});

describe('authorization server metadata', () => {
  it('three forms for an issuer with a path, two without', () => {
    expect(metadataForms(new URL('https://a.example/x/y'))).toEqual([
      'https://a.example/.well-known/oauth-authorization-server/x/y',
      'https://a.example/.well-known/openid-configuration/x/y',
      'https://a.example/x/y/.well-known/openid-configuration',
    ]);
    expect(metadataForms(new URL('https://a.example/'))).toEqual([
      'https://a.example/.well-known/oauth-authorization-server',
      'https://a.example/.well-known/openid-configuration',
    ]);
  });

  it.each([
    '/.well-known/oauth-authorization-server/oidc',
    '/.well-known/openid-configuration/oidc',
    '/oidc/.well-known/openid-configuration',
  ])('is found at %s', async (place) => {
    world.issuer.behaviour.metadataAt = [place];
    expect(await find()).toMatchObject({ server: { issuer: world.issuer.issuer } });
  });

  it('an issuer without a path is found, too', async () => {
    const bare = world.keep(
      await startIssuer({ metadataAt: ['/.well-known/oauth-authorization-server'] }, ''),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [bare.issuer] });
    expect(await find()).toMatchObject({ server: { issuer: bare.issuer } });
  });

  it('a page with status 200 at one form is no answer; the next form is', async () => {
    const pages: Listening = world.keep(
      await listen((request, response) => {
        if (!request.url?.startsWith('/oidc/')) return response.end('<!doctype html><p>hello');
        return json(response, 200, {
          issuer: `${pages.origin}/oidc`,
          authorization_endpoint: `${pages.origin}//double//slash`,
          token_endpoint: `${pages.origin}/token`,
          code_challenge_methods_supported: ['S256'],
        });
      }),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${pages.origin}/oidc`] });
    const found = await find();
    expect(found).toMatchObject({ server: { authorization_endpoint: `${pages.origin}//double//slash` } });
  });

  it.each<[string, (it: Record<string, unknown>) => unknown]>([
    ['of another issuer', (it) => ({ ...it, issuer: 'https://evil.example' })],
    ['without an issuer', ({ issuer: _, ...it }) => it],
    ['with one slash more', (it) => ({ ...it, issuer: `${it.issuer}/` })],
    ['that only means the same', (it) => ({ ...it, issuer: String(it.issuer).replace('http', 'HTTP') })],
    ['with another case', (it) => ({ ...it, issuer: String(it.issuer).toUpperCase() })],
    ['without a token endpoint', ({ token_endpoint: _, ...it }) => it],
    ['that is an array', (it) => [it]],
    [
      'that inherits its endpoint',
      ({ token_endpoint: t, ...it }) =>
        JSON.parse(`{"__proto__":{"token_endpoint":${JSON.stringify(t)}},${JSON.stringify(it).slice(1)}`),
    ],
  ])('C1: metadata %s is refused: no browser, no POST', async (_name, change) => {
    world.issuer.behaviour.metadata = change;
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(edges.opened).toEqual([]);
    expect(world.issuer.seen.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it.each<[string, unknown]>([
    ['absent', undefined],
    ['plain only', ['plain']],
    ['empty', []],
    ['no array', 'S256'],
  ])('C12: PKCE %s is refused, and the way out named', async (_name, methods) => {
    world.issuer.behaviour.metadata = (it) => ({ ...it, code_challenge_methods_supported: methods });
    const edges = world.process();
    const error = await refusal(world.login(edges));
    expect(error.code).toBe('pkce_unsupported');
    expect(error.hint).toContain('--assume-pkce');
    expect(edges.opened).toEqual([]);
  });

  it('C12: --assume-pkce goes on with a warning, and sends S256', async () => {
    world.issuer.behaviour.metadata = ({ code_challenge_methods_supported: _, ...it }) => it;
    const edges = world.process();
    await world.login(edges, {}, { assumePkce: true });
    expect(edges.lines.join()).toContain('does not announce PKCE');
    expect(world.issuer.at('authorize')[0]!.query.get('code_challenge_method')).toBe('S256');
  });

  it('--metadata FILE and URL replace discovery', async () => {
    const document = {
      issuer: world.issuer.issuer,
      authorization_endpoint: `${world.issuer.issuer}/authorize`,
      token_endpoint: `${world.issuer.issuer}/token`,
      code_challenge_methods_supported: ['S256'],
    };
    const file = join(world.configDir, 'provider.json');
    await writeFile(file, JSON.stringify(document));
    expect(await find({ metadata: file })).toMatchObject({ server: document });
    expect(await find({ metadata: `${world.issuer.issuer}/.well-known/openid-configuration` })).toMatchObject(
      {
        server: { issuer: world.issuer.issuer },
      },
    );
    expect((await refusal(find({ metadata: join(world.configDir, 'nothing') }))).code).toBe('usage');
  });
});

describe('servers of revision 2025-03-26', () => {
  it('are their own authorization server, with metadata at the origin', async () => {
    const own = world.keep(
      await startIssuer({ metadataAt: ['/.well-known/oauth-authorization-server'] }, ''),
    );
    const mcp: Listening = world.keep(
      await listen((request, response) => {
        if (request.url === '/mcp') return response.writeHead(401).end();
        if (!request.url?.startsWith('/.well-known/oauth-authorization-server')) {
          return response.writeHead(404).end();
        }
        return json(response, 200, {
          issuer: `${mcp.origin}/`,
          authorization_endpoint: `${own.origin}/authorize`,
          token_endpoint: `${own.origin}/token`,
          code_challenge_methods_supported: ['S256'],
        });
      }),
    );
    expect(await find({ server: new URL('/mcp', mcp.origin) })).toMatchObject({
      resource: undefined,
      server: { issuer: `${mcp.origin}/`, token_endpoint: `${own.origin}/token` },
    });
  });

  it('have default endpoints when there is no metadata at all', async () => {
    const mcp: Listening = world.keep(
      await listen((request, response) => response.writeHead(request.url === '/mcp' ? 401 : 404).end()),
    );
    expect(await find({ server: new URL('/mcp', mcp.origin) })).toEqual({
      resource: undefined,
      scopes: [],
      server: {
        issuer: mcp.origin,
        authorization_endpoint: `${mcp.origin}/authorize`,
        token_endpoint: `${mcp.origin}/token`,
        registration_endpoint: `${mcp.origin}/register`,
        code_challenge_methods_supported: ['S256'],
      },
    });
  });
});

describe('a server that cannot be signed in to', () => {
  it('answers MCP to everybody: no sign-in; its session is deleted again', async () => {
    const seen: string[] = [];
    const mcp: Listening = world.keep(
      await listen((request, response) => {
        seen.push(`${request.method} ${request.url} ${request.headers['mcp-session-id'] ?? ''}`);
        if (request.url !== '/mcp') return response.writeHead(404).end();
        response.setHeader('mcp-session-id', 'session-1');
        return openMcp(request, response);
      }),
    );
    expect(await find({ server: new URL('/mcp', mcp.origin) })).toBe('no_oauth_wanted');
    expect(seen).toContain('DELETE /mcp session-1');
  });

  it('streams to everybody: no sign-in', async () => {
    const mcp: Listening = world.keep(
      await listen((request, response) => {
        if (request.url !== '/sse') return response.writeHead(404).end();
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        return response.write('event: endpoint\ndata: /messages\n\n');
      }),
    );
    expect(await find({ server: new URL('/sse', mcp.origin) })).toBe('no_oauth_wanted');
  });

  it('is a web site: not_mcp_server', async () => {
    const site = world.keep(await listen((_request, response) => response.end('<h1>Welcome</h1>')));
    const error = await refusal(find({ server: new URL('/', site.origin) }));
    expect(error.code).toBe('not_mcp_server');
    expect(error.hint).toContain('/mcp or /sse');
  });

  it('is down: server_unreachable', async () => {
    const gone = await listen(() => {});
    await gone.close();
    const error = await refusal(find({ server: new URL('/mcp', gone.origin) }));
    expect(error.code).toBe('server_unreachable');
    expect(error.hint).toContain('nothing listens');
  });

  it('answers 500: server_unreachable', async () => {
    world.resource.behaviour.before = (_request, response) => {
      response.writeHead(500).end();
      return true;
    };
    expect((await refusal(find())).code).toBe('server_unreachable');
  });

  it('names an issuer that is down: issuer_unreachable', async () => {
    await world.issuer.close();
    const error = await refusal(find());
    expect(error.code).toBe('issuer_unreachable');
    expect(error.message).toContain(world.issuer.issuer);
  });

  it('names an issuer that answers 503: issuer_unreachable', async () => {
    const broken = world.keep(await listen((_request, response) => response.writeHead(503).end()));
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${broken.origin}/x`] });
    expect((await refusal(find())).code).toBe('issuer_unreachable');
  });

  it('names no issuer, or an issuer without metadata: metadata_invalid, with the way out', async () => {
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [] });
    expect((await refusal(find())).code).toBe('metadata_invalid');
    world.resource.behaviour.metadata = (it) => it;
    world.issuer.behaviour.metadataAt = [];
    const error = await refusal(find());
    expect(error.code).toBe('metadata_invalid');
    expect(error.hint).toContain('--metadata');
  });
});

describe('C2: resource metadata of another resource', () => {
  it.each([
    ['another host', 'https://evil.example/mcp'],
    ['another port', 'http://127.0.0.1:1/mcp'],
    ['a sibling path', '/other'],
    ['half a path segment', '/mc'],
    ['a path below', '/mcp/more'],
    ['with a user part', 'http://x@127.0.0.1/mcp'],
    ['with a fragment', '/mcp#x'],
    ['missing', undefined],
    ['no URL', 'mcp'],
    ['not a string', 7],
  ])('%s is refused', async (_name, resource) => {
    const claimed =
      typeof resource === 'string' && resource.startsWith('/') ? world.resource.origin + resource : resource;
    world.resource.behaviour.metadata = (it) => ({ ...it, resource: claimed });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(edges.opened).toEqual([]);
    expect(world.issuer.seen).toEqual([]);
  });

  it.each([
    ['https://a.example/mcp', 'https://a.example/mcp/', true],
    ['https://a.example/mcp/', 'https://a.example/mcp', true],
    ['https://a.example', 'https://a.example/mcp', true],
    ['https://A.example:443/mcp', 'https://a.example/mcp', true],
    ['https://a.example/x', 'https://a.example/x/y', true],
    ['https://a.example/x/y', 'https://a.example/x', false],
    ['http://a.example/x', 'https://a.example/x', false],
    ['https://a.example/x?t=1', 'https://a.example/x?t=1', true],
    ['https://a.example/x?t=1', 'https://a.example/x?t=2', false],
  ])('%s for %s: %s', (resource, server, expected) => {
    expect(covers(resource, new URL(server))).toBe(expected);
  });
});
