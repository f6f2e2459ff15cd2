import { createLocalJWKSet, createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { allScopes, errorOf, openWorld, register, request, resource, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

describe('a sign-in with PKCE', () => {
  it('ends with a JWT for the resource that says who the user is', async () => {
    const client = await register(world);
    const { url, exchange } = await request(client, {
      redirect_uri: world.redirects.uri,
      scope: allScopes,
      prompt: 'consent',
      resource,
    });
    const answer = await visitAsDemoUser(url.href, 'alice');
    expect(new URL(answer).searchParams.get('iss')).toBe(world.provider.issuer);
    expect(world.redirects.seen).toContain(new URL(answer).pathname + new URL(answer).search);

    const tokens = await exchange(answer);
    expect(tokens.claims()).toMatchObject({
      sub: 'alice',
      name: 'Alice Liddell',
      email: 'alice@example.com',
    });
    expect(tokens.refresh_token).toBeTruthy();
    expect(tokens.scope).toBe(allScopes);
    expect(tokens.expires_in).toBe(600);
    expect(decodeProtectedHeader(tokens.access_token)).toMatchObject({ alg: 'ES256', typ: 'at+jwt' });
    const keys = createRemoteJWKSet(new URL(`${world.provider.issuer}/jwks`));
    const { payload } = await jwtVerify(tokens.access_token, keys, {
      issuer: world.provider.issuer,
      audience: resource,
      algorithms: ['ES256'],
    });
    expect(payload).toMatchObject({
      sub: 'alice',
      client_id: client.clientMetadata().client_id,
      scope: allScopes,
      name: 'Alice Liddell',
      preferred_username: 'alice',
      email: 'alice@example.com',
      email_verified: true,
    });
  });
});
