import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { metadataForms } from '../../../src/auth/discovery/issuer-metadata.ts';
import { createReach } from '../../../src/auth/discovery/reach.ts';
import { discover } from '../../../src/auth/discovery.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import { threat } from '../../support/threats.ts';
import { json, type Listening, listen } from './support/http.ts';
import { startIssuer } from './support/issuer.ts';
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

describe('authorization server metadata', () => {
  it('four forms for an issuer with a path, two without', () => {
    expect(metadataForms(new URL('https://a.example/x/y'))).toEqual([
      'https://a.example/.well-known/oauth-authorization-server/x/y',
      'https://a.example/.well-known/openid-configuration/x/y',
      'https://a.example/x/y/.well-known/openid-configuration',
      'https://a.example/x/y/.well-known/oauth-authorization-server',
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
    '/oidc/.well-known/oauth-authorization-server',
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
  ])(threat('C1', 'metadata %s is refused: no browser, no POST'), async (_name, change) => {
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
  ])(threat('C12', 'PKCE %s is refused, and the way out named'), async (_name, methods) => {
    world.issuer.behaviour.metadata = (it) => ({ ...it, code_challenge_methods_supported: methods });
    const edges = world.process();
    const error = await refusal(world.login(edges));
    expect(error.code).toBe('pkce_unsupported');
    expect(error.hint).toContain('--assume-pkce');
    expect(edges.opened).toEqual([]);
  });

  it(threat('C12', '--assume-pkce goes on with a warning, and sends S256'), async () => {
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

  it('--metadata FILE needs no more than the two endpoints', async () => {
    const { issuer, origin } = world.issuer;
    const file = join(world.configDir, 'provider.json');
    const endpoints = { authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` };
    await writeFile(file, JSON.stringify(endpoints));
    const settings = { metadata: file, assumePkce: true };
    expect(await find(settings)).toMatchObject({ server: { ...endpoints, issuer: origin } });
    await writeFile(file, JSON.stringify({ authorization_endpoint: endpoints.authorization_endpoint }));
    expect((await refusal(find(settings))).message).toMatch(/lacks/);
  });
});
