import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createReach } from '../../../src/auth/discovery/reach.ts';
import { discover } from '../../../src/auth/discovery.ts';
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

  it('with metadata of another issuer: whether to trust it is asked, nothing is guessed', async () => {
    const mcp: Listening = world.keep(
      await listen((request, response) => {
        if (request.url === '/mcp') return response.writeHead(401).end();
        if (!request.url?.startsWith('/.well-known/oauth-authorization-server')) {
          return response.writeHead(404).end();
        }
        return json(response, 200, {
          issuer: world.issuer.issuer,
          authorization_endpoint: `${world.issuer.issuer}/authorize`,
          token_endpoint: `${world.issuer.issuer}/token`,
          code_challenge_methods_supported: ['S256'],
        });
      }),
    );
    const server = new URL('/mcp', mcp.origin);
    const error = await refusal(find({ server }));
    expect(error).toMatchObject({
      code: 'metadata_invalid',
      message: expect.stringContaining(`its issuer is ${world.issuer.issuer}`),
    });
    const [, metadata] = /--metadata (\S+)$/.exec(error.hint ?? '') ?? [];
    expect(metadata).toBe(`${mcp.origin}/.well-known/oauth-authorization-server`);
    expect(await find({ server, metadata })).toMatchObject({ server: { issuer: world.issuer.issuer } });
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

  it('is not at that path, whatever metadata its origin has: not_mcp_server', async () => {
    world.resource.behaviour.metadataAt = ['/.well-known/oauth-protected-resource'];
    world.resource.behaviour.metadata = (it) => ({ ...it, resource: world.resource.origin });
    const error = await refusal(find({ server: new URL('/mpc', world.resource.url) }));
    expect(error.code).toBe('not_mcp_server');
    expect(error.message).toContain(`status 404, and the OAuth metadata is of ${world.resource.origin}`);
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
