import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { threat } from '../../support/threats.ts';
import {
  allScopes,
  errorOf,
  listenForRedirects,
  openWorld,
  otherResource,
  register,
  request,
  resource,
  type World,
} from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** Signs in from the beginning to the tokens. */
async function signIn(parameters: Record<string, string>, client?: oauth.Configuration) {
  const used = client ?? (await register(world));
  const { url, exchange } = await request(used, { redirect_uri: world.redirects.uri, ...parameters });
  return { client: used, tokens: await exchange(await visitAsDemoUser(url.href, 'alice')) };
}

describe('a sign-in with PKCE', () => {
  it('ends with a JWT for the resource that says who the user is (RFC 9068)', async () => {
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

  it('ends with an opaque token for userinfo when no resource was asked for', async () => {
    const { client, tokens } = await signIn({ scope: 'openid email' });
    expect(tokens.access_token.split('.')).toHaveLength(1);
    expect(tokens.refresh_token).toBeUndefined();
    const userinfo = await oauth.fetchUserInfo(client, tokens.access_token, 'alice');
    expect(userinfo).toEqual({ sub: 'alice', email: 'alice@example.com', email_verified: true });
  });

  it('puts no more into the token than the scopes release, and refuses it at userinfo', async () => {
    const { tokens } = await signIn({ scope: 'openid', resource: otherResource });
    const [, payload = ''] = tokens.access_token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    expect(claims).toMatchObject({ aud: otherResource, sub: 'alice', scope: 'openid' });
    expect(claims).not.toHaveProperty('email');
    expect(claims).not.toHaveProperty('name');
    const answer = await fetch(`${world.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(answer.status).toBe(401);
  });

  it('takes another loopback port than the registered one, and knows Bob', async () => {
    const client = await register(world);
    const elsewhere = await listenForRedirects();
    const { url, exchange } = await request(client, { redirect_uri: elsewhere.uri, scope: 'openid profile' });
    const tokens = await exchange(await visitAsDemoUser(url.href, 'bob'));
    expect(tokens.claims()).toMatchObject({ sub: 'bob', name: 'Bob Cratchit' });
    await elsewhere.close();
  });

  it('tells the client when the user does not allow it', async () => {
    const client = await register(world);
    const { url, exchange } = await request(client, { redirect_uri: world.redirects.uri, scope: 'openid' });
    const answer = await visitAsDemoUser(url.href, 'alice', { deny: true });
    expect(new URL(answer).searchParams.get('error')).toBe('access_denied');
    expect(new URL(answer).searchParams.get('iss')).toBe(world.provider.issuer);
    expect(await errorOf(exchange(answer))).toBe('access_denied');
  });

  it('knows clients by their metadata document', async () => {
    const id = 'https://client.example/metadata.json';
    const document = {
      client_id: id,
      client_name: 'Client of a document',
      redirect_uris: ['http://127.0.0.1/callback'],
      token_endpoint_auth_method: 'none',
    };
    const other = await openWorld({ clientDocuments: { [id]: document } });
    const client = await oauth.discovery(new URL(other.provider.issuer), id, {}, oauth.None(), {
      algorithm: 'oidc',
      execute: [oauth.allowInsecureRequests],
    });
    expect(client.serverMetadata().client_id_metadata_document_supported).toBe(true);
    const { url, exchange } = await request(client, {
      redirect_uri: other.redirects.uri,
      scope: allScopes,
      prompt: 'consent',
      resource,
    });
    const tokens = await exchange(await visitAsDemoUser(url.href, 'alice'));
    expect(tokens.claims()?.sub).toBe('alice');
    expect(tokens.refresh_token).toBeTruthy();
    await other.close();
  });
});

describe('what is refused', () => {
  const refusal = async (change: (url: URL) => void, client?: oauth.Configuration) => {
    const { url } = await request(client ?? (await register(world)), {
      redirect_uri: world.redirects.uri,
      scope: 'openid',
    });
    change(url);
    return fetch(url, { redirect: 'manual', headers: { accept: 'text/html' } });
  };
  const redirectedError = (answer: Response) =>
    new URL(answer.headers.get('location') ?? '').searchParams.get('error');

  it(threat('R20', 'a request without PKCE, or with the plain method'), async () => {
    const without = await refusal((url) => {
      url.searchParams.delete('code_challenge');
      url.searchParams.delete('code_challenge_method');
    });
    expect(redirectedError(without)).toBe('invalid_request');
    const plain = await refusal((url) => url.searchParams.set('code_challenge_method', 'plain'));
    expect(redirectedError(plain)).toBe('invalid_request');
  });

  it('a resource that is not one of ours', async () => {
    const answer = await refusal((url) => url.searchParams.set('resource', 'http://127.0.0.1:3001/other'));
    expect(redirectedError(answer)).toBe('invalid_target');
  });

  it.each([
    ['another path', 'http://127.0.0.1:9/other'],
    ['another host', 'http://localhost:9/callback'],
    ['another machine', 'https://evil.example/callback'],
  ])(threat('R20', 'a redirect URI that was not registered: %s'), async (_what, uri) => {
    const answer = await refusal((url) => url.searchParams.set('redirect_uri', uri));
    expect(answer.status).toBe(400);
    expect(answer.headers.get('location')).toBeNull();
    expect(await answer.text()).toContain('The return address does not match');
  });

  it('an application that never registered', async () => {
    const answer = await refusal((url) => url.searchParams.set('client_id', '<script>'));
    expect(answer.status).toBe(400);
    const page = await answer.text();
    expect(page).toContain('This application is not known here');
    expect(page).not.toContain('<script');
  });

  it(threat('R20', 'registrations that are too large, or lead to another machine over http'), async () => {
    const tooLarge = register(world, { client_name: 'x'.repeat(17_000) });
    expect(await errorOf(tooLarge)).toBe('invalid_client_metadata');
    const plain = register(world, { redirect_uris: ['http://example.com/callback'] });
    expect(await errorOf(plain)).toBe('invalid_redirect_uri');
  });

  it(threat('R20', 'a code for the second time, and what the first time gave ends'), async () => {
    const client = await register(world);
    const { url, exchange } = await request(client, { redirect_uri: world.redirects.uri, scope: 'openid' });
    const answer = await visitAsDemoUser(url.href, 'alice');
    const tokens = await exchange(answer);
    await oauth.fetchUserInfo(client, tokens.access_token, 'alice');
    expect(await errorOf(exchange(answer))).toBe('invalid_grant');
    const userinfo = await fetch(`${world.provider.issuer}/me`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(userinfo.status).toBe(401);
  });

  it('a silent sign-in', async () => {
    const answer = await refusal((url) => url.searchParams.set('prompt', 'none'));
    expect(redirectedError(answer)).toBe('login_required');
  });
});
