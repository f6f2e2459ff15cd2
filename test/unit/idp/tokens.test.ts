import * as oauth from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visitAsDemoUser, visitDeviceAsDemoUser } from '../../../src/idp/visitor.ts';
import { threat } from '../../support/threats.ts';
import {
  allScopes,
  errorOf,
  insecure,
  openWorld,
  register,
  request,
  resource,
  type World,
} from './support.ts';

const server = { id: 'whoami-server', secret: 'a secret of the tests only' };
let world: World;
beforeAll(async () => {
  world = await openWorld({ introspectionClient: server, accessTokenSeconds: 30 });
});
afterAll(() => world.close());

async function signIn(client: oauth.Configuration, parameters: Record<string, string> = {}) {
  const { url, exchange } = await request(client, {
    redirect_uri: world.redirects.uri,
    scope: allScopes,
    prompt: 'consent',
    ...parameters,
  });
  return exchange(await visitAsDemoUser(url.href, 'alice'));
}

describe('refresh tokens', () => {
  it(threat('R20', 'rotate, keep the resource, and a used one ends the whole family'), async () => {
    const client = await register(world);
    const first = await signIn(client, { resource });
    expect(first.expires_in).toBe(30);
    const second = await oauth.refreshTokenGrant(client, first.refresh_token ?? '', { resource });
    expect(second.refresh_token).not.toBe(first.refresh_token);
    expect(second.access_token.split('.')).toHaveLength(3);
    const third = await oauth.refreshTokenGrant(client, second.refresh_token ?? '');
    expect(third.access_token.split('.')).toHaveLength(3);

    expect(await errorOf(oauth.refreshTokenGrant(client, second.refresh_token ?? ''))).toBe('invalid_grant');
    expect(await errorOf(oauth.refreshTokenGrant(client, third.refresh_token ?? ''))).toBe('invalid_grant');
  });

  it('are given for offline_access only', async () => {
    const tokens = await signIn(await register(world), { scope: 'openid profile' });
    expect(tokens.refresh_token).toBeUndefined();
  });

  it('of two sign-ins of one client live apart', async () => {
    const client = await register(world);
    const one = await signIn(client);
    const two = await signIn(client);
    await oauth.tokenRevocation(client, one.refresh_token ?? '');
    expect(await errorOf(oauth.refreshTokenGrant(client, one.refresh_token ?? ''))).toBe('invalid_grant');
    const renewed = await oauth.refreshTokenGrant(client, two.refresh_token ?? '');
    expect(renewed.access_token).toBeTruthy();
  });
});

describe('revocation and introspection', () => {
  it('a revoked refresh token takes its access token along', async () => {
    const client = await register(world);
    const tokens = await signIn(client);
    await oauth.fetchUserInfo(client, tokens.access_token, 'alice');
    await oauth.tokenRevocation(client, tokens.refresh_token ?? '');
    expect(await errorOf(oauth.refreshTokenGrant(client, tokens.refresh_token ?? ''))).toBe('invalid_grant');
    const answer = await fetch(`${world.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(answer.status).toBe(401);
  });

  it('nobody revokes or looks into the tokens of another client', async () => {
    const client = await register(world);
    const stranger = await register(world);
    const confidential = await register(world, { token_endpoint_auth_method: 'client_secret_post' });
    const tokens = await signIn(client);
    for (const other of [stranger, confidential]) {
      await oauth.tokenRevocation(other, tokens.access_token);
      expect(await oauth.tokenIntrospection(other, tokens.access_token)).toEqual({ active: false });
    }
    expect(await oauth.tokenIntrospection(client, tokens.access_token)).toMatchObject({
      active: true,
      sub: 'alice',
    });
  });

  it('the server with a secret looks into all tokens', async () => {
    const tokens = await signIn(await register(world));
    const config = await oauth.discovery(
      new URL(world.provider.issuer),
      server.id,
      {},
      oauth.ClientSecretBasic(server.secret),
      insecure,
    );
    expect(await oauth.tokenIntrospection(config, tokens.access_token)).toMatchObject({
      active: true,
      iss: world.provider.issuer,
      sub: 'alice',
      scope: allScopes,
    });
    expect(await oauth.tokenIntrospection(config, 'no such token')).toEqual({ active: false });
  });
});

describe('the device flow (RFC 8628)', () => {
  it('gives tokens once the person has confirmed the code', async () => {
    const client = await register(world);
    const device = await oauth.initiateDeviceAuthorization(client, { scope: allScopes, resource });
    expect(device.user_code).toMatch(/^[B-Z]{4}-[B-Z]{4}$/);
    const answer = await fetch(`${world.provider.issuer}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        device_code: device.device_code,
        client_id: client.clientMetadata().client_id,
      }),
    });
    expect(await answer.json()).toMatchObject({ error: 'authorization_pending' });

    const heading = await visitDeviceAsDemoUser(device.verification_uri_complete ?? '', 'bob');
    expect(heading).toBe('Your device is connected');
    const tokens = await oauth.pollDeviceAuthorizationGrant(client, { ...device, interval: 0.01 });
    expect(tokens.claims()?.sub).toBe('bob');
    expect(tokens.refresh_token).toBeTruthy();
    expect(tokens.access_token.split('.')).toHaveLength(3);
  });

  it('tells the device when the person denies', async () => {
    const client = await register(world);
    const device = await oauth.initiateDeviceAuthorization(client, { scope: 'openid' });
    const heading = await visitDeviceAsDemoUser(device.verification_uri_complete ?? '', 'bob', {
      deny: true,
    });
    expect(heading).toBe('Access denied');
    const polled = oauth.pollDeviceAuthorizationGrant(client, { ...device, interval: 0.01 });
    expect(await errorOf(polled)).toBe('access_denied');
  });

  it('asks again for a code that it does not know', async () => {
    const first = await fetch(`${world.provider.issuer}/device`);
    const token = /name="xsrf" value="(\w+)"/.exec(await first.text())?.[1] ?? '';
    const cookie = first.headers.getSetCookie().map((line) => line.split(';')[0]);
    const second = await fetch(`${world.provider.issuer}/device`, {
      method: 'POST',
      headers: { cookie: cookie.join('; '), accept: 'text/html' },
      body: new URLSearchParams({ xsrf: token, user_code: '"><b>BBBB' }),
    });
    const page = await second.text();
    expect(page).toContain('This code is not known');
    expect(page).not.toContain('"><b>');
  });
});
