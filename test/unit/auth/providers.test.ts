import { describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { freePort } from '../../support/free-port.ts';
import * as providers from '../../support/providers/quirks.ts';
import { useProvider } from './support/provider.ts';
import { refusal } from './support/world.ts';

const { world, begin, login, failure, claims, renew, endOnPage } = useProvider();

describe('Keycloak', () => {
  it('needs no flag: registers, signs in, renews', async () => {
    const emulator = await begin(providers.keycloak());
    expect(await login()).toMatchObject({ issuer: emulator.issuer, subject: 'carol' });
    expect(await claims()).not.toHaveProperty('aud');
    await renew();
  });

  it('compares the registered port: the next sign-in uses the same one again', async () => {
    const emulator = await begin(providers.keycloak());
    const [one, two] = [world().process(), world().process()];
    await world().login(one);
    await world().login(two);
    const uri = (url = '') => new URL(url).searchParams.get('redirect_uri');
    expect(uri(two.opened[0])).toBe(uri(one.opened[0]));
    expect(emulator.seen.filter((path) => path.endsWith('/register'))).toHaveLength(1);
  });
});

describe('Entra ID', () => {
  const given = { clientId: 'given', redirectHost: 'localhost' as const };

  it('without registration: the error names --client-id', async () => {
    await begin(providers.entra);
    expect((await failure({ assumePkce: true })).hint).toContain('--client-id');
  });

  it('does not announce S256: the error names --assume-pkce', async () => {
    await begin(providers.entra);
    const error = await failure(given);
    expect(error.code).toBe('pkce_unsupported');
    expect(error.hint).toContain('--assume-pkce');
  });

  it('refuses the resource on a page of its own: the error names --resource none', async () => {
    await begin(providers.entra);
    const { error, page } = await endOnPage({ ...given, assumePkce: true });
    expect(page).toContain('AADSTS901002');
    expect(error.code).toBe('sign_in_timeout');
    expect(error.hint).toContain('--resource none');
  });

  it('with the flags: a token for the API that the scope names, userinfo on another host', async () => {
    await begin(providers.entra);
    const scope = `openid profile offline_access ${providers.entraApi}/.default`;
    const flags = { ...given, assumePkce: true, resource: 'none', scope };
    expect(await login(flags)).toMatchObject({ subject: 'carol' });
    expect(await claims()).toMatchObject({ aud: providers.entraApiId, scp: 'user_impersonation' });
    await renew();
  });
});

describe('Auth0', () => {
  it('its issuer ends in a slash, and is used as it is', async () => {
    const emulator = await begin(providers.auth0);
    expect(await login({ clientId: 'given' })).toMatchObject({
      issuer: `${emulator.origin}/`,
      subject: 'carol',
    });
    expect(await claims()).toEqual({});
  });

  it('gives a JWT where --auth-param audience names the API', async () => {
    const emulator = await begin(providers.auth0);
    await login({ clientId: 'given', authParams: { audience: 'https://whoami.example/api' } });
    expect(await claims()).toMatchObject({
      aud: ['https://whoami.example/api', `${emulator.origin}/userinfo`],
    });
    await renew();
  });

  it('a resource that leaves the slash out is refused: the error shows what the issuer says of itself', async () => {
    const emulator = await begin(providers.auth0);
    world().resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [emulator.origin] });
    const error = await failure({ clientId: 'given' });
    expect(error.code).toBe('metadata_invalid');
    expect(error.message).toContain(`its issuer is ${emulator.origin}/`);
  });

  it('a server that refuses every token: the error names --auth-param audience and --resource', async () => {
    await begin(providers.auth0);
    await login({ clientId: 'given' });
    const session = createSession(world().process(), world().settings);
    const refuseAll = async () => {
      for (let times = 0; times < 10; times++) await session.renew(await session.current());
    };
    const error = await refusal(refuseAll());
    expect(error.code).toBe('token_rejected');
    expect(error.hint).toContain('--auth-param audience=');
    expect(error.hint).toContain('--resource');
  });
});

describe('Okta', () => {
  it.each([
    ['organisation', providers.oktaOrganisation],
    ['custom', providers.oktaCustom],
  ])('%s server: registration wants an administrator, the error names --client-id', async (_name, quirks) => {
    const emulator = await begin(quirks);
    const error = await failure();
    expect(error.code).toBe('registration_failed');
    expect(error.hint).toContain('--client-id');
    expect(await login({ clientId: 'given' })).toMatchObject({ issuer: emulator.issuer, subject: 'carol' });
    await renew();
  });

  it('the custom server names one audience, and scopes as an array', async () => {
    await begin(providers.oktaCustom);
    await login({ clientId: 'given' });
    expect(await claims()).toMatchObject({ aud: 'api://default', scp: expect.arrayContaining(['openid']) });
  });
});

describe('Google', () => {
  const secret = new Secret('GOCSPX-not-a-secret');

  it('wants a secret of desktop clients too: the error names MCP_WHOAMI_CLIENT_SECRET', async () => {
    await begin(providers.google);
    const error = await failure({ clientId: 'given' });
    expect(error.code).toBe('sign_in_failed');
    expect(error.message).toContain('client_secret is missing');
    expect(error.hint).toContain('MCP_WHOAMI_CLIENT_SECRET');
  });

  it('gives no refresh token: said at once, and at its end, with --auth-param access_type=offline', async () => {
    await begin(providers.google);
    const edges = world().process();
    const given = { clientId: 'given', clientSecret: secret };
    await world().login(edges, {}, given);
    expect(edges.lines.join()).toContain('--auth-param access_type=offline');
    const session = createSession(world().process(), world().settings);
    const error = await refusal(session.renew(await session.current()));
    expect(error.code).toBe('not_signed_in');
    expect(error.message).toContain('without a refresh token');
    expect(error.hint).toContain('--auth-param access_type=offline');
  });

  it('with the parameter: an opaque token that is renewed, endpoints on another host', async () => {
    const emulator = await begin(providers.google);
    const edges = world().process();
    const authParams = { access_type: 'offline', prompt: 'consent' };
    await world().login(edges, {}, { clientId: 'given', clientSecret: secret, authParams });
    expect(edges.lines.join()).not.toContain('access_type');
    expect(emulator.tokenForms.at(-1)?.get('client_secret')).toBe('GOCSPX-not-a-secret');
    await renew();
  });
});

describe('Cognito', () => {
  it('compares redirect URIs exactly, on a page of its own: the error names --redirect-port and --redirect-host', async () => {
    await begin(providers.cognito('http://localhost:8765/callback'));
    const { page, error } = await endOnPage({ clientId: 'given', assumePkce: true });
    expect(page).toContain('redirect mismatch');
    expect(error.hint).toMatch(/--redirect-port, --redirect-host/);
  });

  it('with the flags: a token that names its client and no audience, endpoints on another host', async () => {
    const port = await freePort();
    await begin(providers.cognito(`http://localhost:${port}/callback`));
    const where = { redirectHost: 'localhost' as const, redirectPort: port };
    expect((await failure({ clientId: 'given', ...where })).hint).toContain('--assume-pkce');
    expect(await login({ clientId: 'given', assumePkce: true, ...where })).toMatchObject({
      subject: 'carol',
    });
    expect(await claims()).toMatchObject({ client_id: 'given', token_use: 'access' });
    expect(await claims()).not.toHaveProperty('aud');
    await renew();
  });
});
