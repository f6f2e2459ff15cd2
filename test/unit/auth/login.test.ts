import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redirectUriToRegister } from '../../../src/auth/login.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { nothingThere, openMcp } from './support/resource.ts';
import { createWorld, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const load = () => openTokenStore(world.process(), world.settings).load();

describe('login', () => {
  it('goes from the URL to tokens in the vault and tells who signed in', async () => {
    const edges = world.process();
    let page = '';
    edges.browse = async (url) => {
      page = (await visit(url)).body;
    };
    const signedIn = await world.login(edges);
    expect(signedIn).toMatchObject({
      server: world.resource.url.href,
      profile: 'default',
      issuer: world.issuer.issuer,
      subject: 'alice',
      name: 'Alice Example',
      scopes: ['openid', 'profile', 'offline_access'],
      clientId: 'client-1',
      store: 'the keychain of the test',
    });
    const set = await load();
    expect(set?.accessToken.reveal()).toMatch(/^at-/);
    expect(set?.refreshToken).toBeInstanceOf(Secret);
    expect(set).toMatchObject({
      resource: world.resource.url.href,
      issuer: world.issuer.issuer,
      dead: false,
    });
    await until(() => page.includes('You are signed in'));
    expect(page).toContain('Alice Example');
    expect(page).toContain(world.resource.url.href);
    expect([...world.shared.index.values()]).toMatchObject([
      { server: world.resource.url.href, renewable: true, name: 'Alice Example', store: 'keychain' },
    ]);
    expect(world.shared.held.size).toBe(0);
    expect(world.shared.entries.size).toBe(1);
  });

  it('sends PKCE, state, nonce, resource and prompt=consent, and the same resource to the token endpoint', async () => {
    await world.login(world.process());
    const [asked] = world.issuer.at('authorize');
    const query = Object.fromEntries(asked!.query);
    expect(query).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      resource: world.resource.url.href,
      scope: 'openid profile offline_access',
      prompt: 'consent',
    });
    expect(query.state).toMatch(/^[\w-]{43}$/);
    expect(query.nonce).toBeTruthy();
    expect(query.redirect_uri).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    const [exchange] = world.issuer.at('token');
    expect(exchange!.form.get('resource')).toBe(world.resource.url.href);
    expect(exchange!.form.get('code_verifier')).toMatch(/^[\w-]{43,128}$/);
  });

  it('sends no nonce without openid, no resource with --resource none, the scope as given', async () => {
    await world.login(world.process(), {}, { scope: 'profile', resource: 'none' });
    const { query } = world.issuer.at('authorize')[0]!;
    expect(query.has('nonce')).toBe(false);
    expect(query.has('resource')).toBe(false);
    expect(query.get('scope')).toBe('profile');
    expect(query.has('prompt')).toBe(false);
    expect(world.issuer.at('token')[0]!.form.has('resource')).toBe(false);
  });

  it('adds extra parameters, and select_account for --switch-account', async () => {
    await world.login(world.process(), {}, { authParams: { audience: 'https://api' }, switchAccount: true });
    const { query } = world.issuer.at('authorize')[0]!;
    expect(query.get('audience')).toBe('https://api');
    expect(query.get('prompt')).toBe('select_account consent');
  });

  it.each(['state', 'redirect_uri', 'code_challenge', 'response_mode', 'request_uri'])(
    'refuses --auth-param %s, and opens no browser',
    async (name) => {
      const edges = world.process();
      const error = await refusal(world.login(edges, {}, { authParams: { [name]: 'x' } }));
      expect(error.code).toBe('usage');
      expect(edges.opened).toEqual([]);
    },
  );

  it('says so when the server wants no sign-in', async () => {
    world.resource.behaviour.before = (request, response, url) =>
      (url.pathname === '/mcp' ? openMcp : nothingThere)(request, response);
    expect(await world.login(world.process())).toBe('no_oauth_wanted');
    expect(world.shared.entries.size).toBe(0);
  });

  it('signs in to a server that lets everybody in but offers a sign-in', async () => {
    world.resource.behaviour.before = (request, response, url) =>
      url.pathname === '/mcp' ? openMcp(request, response) : undefined;
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });

  it('tokens without an id token are taken when openid was not granted', async () => {
    world.issuer.behaviour.grant = ({ id_token: _, ...rest }) => ({ ...rest, scope: 'profile' });
    expect(await world.login(world.process())).toMatchObject({
      scopes: ['profile'],
      subject: 'alice',
      name: 'Alice of Userinfo',
    });
    expect(world.issuer.at('token')).toHaveLength(1);
  });

  it(threat('L7', 'an id token with another nonce is refused'), async () => {
    let first = '';
    world.issuer.behaviour.grant = (answer) => {
      first ||= String(answer.id_token);
      return { ...answer, id_token: first };
    };
    await world.login(world.process());
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('sign_in_failed');
  });

  it('each profile has a sign-in of its own', async () => {
    await world.login(world.process());
    await world.login(world.process(), {}, { profile: 'work' });
    expect(world.shared.entries.size).toBe(2);
    expect([...world.shared.index.values()].map(({ profile }) => profile).sort()).toEqual([
      'default',
      'work',
    ]);
  });

  it('tells what to register: any port where none is fixed', () => {
    expect(redirectUriToRegister({ redirectHost: '127.0.0.1', redirectPort: undefined })).toBe(
      'http://127.0.0.1/callback',
    );
    expect(redirectUriToRegister({ redirectHost: '[::1]', redirectPort: 8123 })).toBe(
      'http://[::1]:8123/callback',
    );
  });

  it('uses localhost and a fixed port when told', async () => {
    const free = await (await import('./support/http.ts')).listen(() => {});
    await free.close();
    const settings = { redirectHost: 'localhost', redirectPort: free.port } as const;
    await world.login(world.process(), {}, settings);
    expect(world.issuer.at('authorize')[0]!.query.get('redirect_uri')).toBe(
      `http://localhost:${free.port}/callback`,
    );
  });
});
