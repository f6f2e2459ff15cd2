import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { threat } from '../../support/threats.ts';
import { type Listening, listen } from './support/http.ts';
import { reply } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

/** The evil origin: records everything that reaches it. */
let evil: Listening;
let reached: string[];
let world: World;
beforeEach(async () => {
  world = await createWorld();
  reached = [];
  evil = world.keep(
    await listen(async (request, response) => {
      reached.push(`${request.method} ${request.url}`);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }),
  );
});
afterEach(() => world.close());

describe('endpoints that nothing may be sent to', () => {
  const bad = [
    'javascript:alert(1)',
    'file:///etc/passwd',
    'ssh://host/',
    'data:text/html,x',
    'vbscript:x',
    'ms-msdt:/id',
    'calculator:',
    '\\\\host\\share',
    '--flag',
    'https://a.example/`id`',
    'https://a.example/"x',
    'https://a.example/\nx',
    'https://google.com@evil.example/',
    'https://a.example/#fragment',
    'http://attacker.test/authorize',
    '//evil.example/authorize',
  ];
  const endpoints = [
    'authorization_endpoint',
    'token_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ];

  it.each(bad)(threat(['C5', 'C6', 'C7'], '%j is refused'), async (url) => {
    for (const endpoint of endpoints) {
      world.issuer.behaviour.metadata = (it) => ({ ...it, [endpoint]: url });
      const edges = world.process();
      expect((await refusal(world.login(edges))).code).toBe('insecure_url');
      expect(edges.opened).toEqual([]);
    }
    expect(world.issuer.seen.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it(threat('C5', 'shell characters that are legal in a URL go to the browser as one URL'), async () => {
    world.issuer.behaviour.metadata = (it) => ({ ...it, authorization_endpoint: `${evil.origin}/$(id);&x` });
    const edges = world.process();
    edges.browse = async () => {};
    await refusal(world.login(edges, { timeoutMs: 300 }));
    expect(new URL(edges.opened[0] ?? '').origin).toBe(evil.origin);
  });

  it.each(['javascript:alert(1)', 'http://attacker.test/oidc', 'https://x@evil.example/'])(
    threat(['C6', 'C7'], 'an issuer %s is refused'),
    async (issuer) => {
      world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [issuer] });
      expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
    },
  );

  it.each(['javascript:alert(1)', 'http://attacker.test/prm', 'file:///x', 'nonsense'])(
    threat('C7', 'a challenge that names %s is refused'),
    async (url) => {
      world.resource.behaviour.challenge = `resource_metadata="${url}"`;
      expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
    },
  );

  it(threat('C8', 'link-local never'), async () => {
    world.resource.behaviour.metadata = (it) => ({
      ...it,
      authorization_servers: ['https://169.254.169.254/latest'],
    });
    expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
  });
});

describe('redirects', () => {
  it.each([301, 302, 303, 307, 308])(
    threat('C9', '%s of any OAuth endpoint to another origin: nothing arrives there'),
    async (status) => {
      const away = reply(status, '', { location: `${evil.origin}/landed` });
      world.resource.behaviour.before = (_request, response, url) => {
        if (!url.pathname.startsWith('/.well-known')) return undefined;
        away(response);
        return true;
      };
      expect((await refusal(world.login(world.process()))).code).toBe('metadata_invalid');
      delete world.resource.behaviour.before;

      world.issuer.behaviour.register = () => away;
      expect((await refusal(world.login(world.process()))).code).toBe('registration_failed');
      delete world.issuer.behaviour.register;

      world.issuer.behaviour.token = () => away;
      expect((await refusal(world.login(world.process()))).code).toBe('remote_error');
      expect(reached).toEqual([]);
    },
  );

  it(threat('C9', 'of the issuer metadata to another origin'), async () => {
    const mover = world.keep(
      await listen((request, response) =>
        response.writeHead(302, { location: evil.origin + request.url }).end(),
      ),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${mover.origin}/oidc`] });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(reached).toEqual([]);
    expect(edges.opened).toEqual([]);
  });

  it(threat('C9', 'of the MCP server to another origin'), async () => {
    world.resource.behaviour.before = (_request, response) => {
      response.writeHead(307, { location: `${evil.origin}/mcp` }).end();
      return true;
    };
    await refusal(world.login(world.process()));
    expect(reached).toEqual([]);
  });

  it(threat(['C9', 'C19'], 'to itself, for ever: bounded'), async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      response.writeHead(307, { location: url.href }).end();
      return true;
    };
    await refusal(world.login(world.process()));
    expect(world.resource.seen.length).toBeLessThan(30);
  });

  it('of metadata within the origin: two are followed', async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      const next = { '/.well-known/oauth-protected-resource/mcp': '/one', '/one': '/two' }[url.pathname];
      if (!next) return undefined;
      response.writeHead(302, { location: next }).end();
      return true;
    };
    world.resource.behaviour.metadataAt = ['/two'];
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });
});
