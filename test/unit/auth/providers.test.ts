import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refusedBy } from '../../../src/auth/redirect/redirect.ts';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import type { AppError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import { freePort } from '../../support/free-port.ts';
import { type Emulator, emulate } from '../../support/providers/emulator.ts';
import * as providers from '../../support/providers/quirks.ts';
import { visit } from './support/http.ts';
import { createWorld, refusal, type World } from './support/world.ts';

/** The real sign-in against one authorization server with the habits of a product. */
let world: World;
let emulator: Emulator;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await emulator.close();
  await world.close();
});

async function begin(quirks: providers.Quirks, scopes: readonly string[] = ['openid', 'profile']) {
  emulator = await emulate(quirks);
  world.resource.behaviour.challenge = `resource_metadata="${world.resource.origin}/.well-known/oauth-protected-resource/mcp"`;
  world.resource.behaviour.metadata = (it) => ({
    ...it,
    authorization_servers: [emulator.issuer],
    scopes_supported: scopes,
  });
}
const login = (settings: Partial<SignInSettings> = {}) => world.login(world.process(), {}, settings);
const failure = (settings: Partial<SignInSettings> = {}): Promise<AppError> => refusal(login(settings));
const stored = () => openTokenStore(world.process(), world.settings).load();
const claims = async (): Promise<Record<string, unknown>> => {
  const [, payload = ''] = (await stored())?.accessToken.reveal().split('.') ?? [];
  return payload === ''
    ? {}
    : (JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>);
};
async function renew(): Promise<void> {
  const session = createSession(world.process(), world.settings);
  const before = await session.current();
  const after = await session.renew(before);
  expect(before?.equals(after)).toBe(false);
}

/** The page that the browser ended on, and what is said when nobody comes back from it. */
async function endOnPage(settings: Partial<SignInSettings>) {
  const edges = world.process();
  let page = '';
  edges.browse = async (url) => {
    page = (await visit(url)).body;
  };
  const error = await refusal(world.login(edges, { timeoutMs: 1_000 }, settings));
  return { error, page };
}

describe('Keycloak', () => {
  it('needs no flag: registers, signs in, renews', async () => {
    await begin(providers.keycloak());
    expect(await login()).toMatchObject({ issuer: emulator.issuer, subject: 'carol' });
    expect(await claims()).not.toHaveProperty('aud');
    await renew();
  });

  it('compares the registered port: the next sign-in uses the same one again', async () => {
    await begin(providers.keycloak());
    const [one, two] = [world.process(), world.process()];
    await world.login(one);
    await world.login(two);
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
    await begin(providers.auth0);
    expect(await login({ clientId: 'given' })).toMatchObject({
      issuer: `${emulator.origin}/`,
      subject: 'carol',
    });
    expect(await claims()).toEqual({});
  });

  it('gives a JWT where --auth-param audience names the API', async () => {
    await begin(providers.auth0);
    await login({ clientId: 'given', authParams: { audience: 'https://whoami.example/api' } });
    expect(await claims()).toMatchObject({
      aud: ['https://whoami.example/api', `${emulator.origin}/userinfo`],
    });
    await renew();
  });

  it('a resource that leaves the slash out is refused: the error shows what the issuer says of itself', async () => {
    await begin(providers.auth0);
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [emulator.origin] });
    const error = await failure({ clientId: 'given' });
    expect(error.code).toBe('metadata_invalid');
    expect(error.message).toContain(`its issuer is ${emulator.origin}/`);
  });

  it('a server that refuses every token: the error names --auth-param audience and --resource', async () => {
    await begin(providers.auth0);
    await login({ clientId: 'given' });
    const session = createSession(world.process(), world.settings);
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
    await begin(quirks);
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
    const edges = world.process();
    const given = { clientId: 'given', clientSecret: secret };
    await world.login(edges, {}, given);
    expect(edges.lines.join()).toContain('--auth-param access_type=offline');
    const session = createSession(world.process(), world.settings);
    const error = await refusal(session.renew(await session.current()));
    expect(error.code).toBe('not_signed_in');
    expect(error.message).toContain('without a refresh token');
    expect(error.hint).toContain('--auth-param access_type=offline');
  });

  it('with the parameter: an opaque token that is renewed, endpoints on another host', async () => {
    await begin(providers.google);
    const edges = world.process();
    const authParams = { access_type: 'offline', prompt: 'consent' };
    await world.login(edges, {}, { clientId: 'given', clientSecret: secret, authParams });
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

describe('GitHub', () => {
  const github = async () => {
    const file = join(world.configDir, 'github.json');
    await writeFile(file, JSON.stringify(emulator.metadata));
    return { clientId: 'given', metadata: file };
  };

  it('has no metadata: the error names --metadata', async () => {
    await begin(providers.github, []);
    const error = await failure({ clientId: 'given' });
    expect(error.code).toBe('metadata_invalid');
    expect(error.hint).toContain('--metadata');
  });

  it('reports a wrong secret with status 200: the error names MCP_WHOAMI_CLIENT_SECRET', async () => {
    await begin(providers.github, []);
    const error = await failure({ ...(await github()), clientSecret: new Secret('wrong') });
    expect(error.code).toBe('sign_in_failed');
    expect(error.hint).toContain('MCP_WHOAMI_CLIENT_SECRET');
  });

  it('with the metadata in a file: JSON is asked for, the token does not end', async () => {
    await begin(providers.github, []);
    const edges = world.process();
    const settings = { ...(await github()), clientSecret: new Secret('github-secret') };
    expect(await world.login(edges, {}, settings)).toMatchObject({ expiresAt: undefined });
    // A token without an end needs no renewal: nobody is told to ask for a refresh token.
    expect(edges.lines.join()).not.toContain('refresh token');
    expect((await stored())?.refreshToken).toBeUndefined();
  });
});

describe('a server without OpenID', () => {
  it('RFC 8414 only: registers, a token bound to the resource, renewed', async () => {
    await begin(providers.rfc8414Only, ['whoami:read']);
    expect(await login()).toMatchObject({ issuer: emulator.issuer, scopes: ['whoami:read'] });
    expect(await claims()).toMatchObject({ aud: world.resource.url.href });
    await renew();
  });

  it('MCP 2025-03-26: the default endpoints of its own origin', async () => {
    await begin(providers.mcp20250326);
    world.settings = { ...world.settings, server: new URL('/mcp', emulator.origin) };
    expect(await login()).toMatchObject({ issuer: emulator.origin });
    await renew();
  });
});

it('invalid_target on the redirect: the error names --resource none', async () => {
  await begin({ ...providers.keycloak(), resource: 'refused on the redirect' });
  const error = await failure();
  expect(error.code).toBe('invalid_target');
  expect(error.hint).toContain('--resource none');
  expect(await login({ resource: 'none' })).toMatchObject({ subject: 'carol' });
});

it.each([
  ['invalid_request', 'AADSTS9010010: The resource parameter does not match the scopes.', '--resource none'],
  [
    'invalid_request',
    'AADSTS7000218: client_assertion or client_secret is needed.',
    'MCP_WHOAMI_CLIENT_SECRET',
  ],
  ['redirect_uri_mismatch', 'The redirect_uri is not associated with this application.', '--redirect-port'],
  ['invalid_scope', 'Unknown scope.', '--scope'],
  ['unauthorized_client', 'Grant type not allowed.', '--client-id'],
])('%s (%s): the error names %s', (error, description, flag) => {
  const refused = refusedBy('https://auth.example', error, description, 'https://mcp.example/mcp');
  expect(refused.hint).toContain(flag);
  expect(refused.message).toContain(description);
});
