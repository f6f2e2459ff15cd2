import type * as oauth from 'openid-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { IssuerRules } from '../../../src/lib/settings.ts';
import { threat } from '../../support/threats.ts';
import {
  allScopes,
  type World as Issuer,
  openWorld as openIssuer,
  register,
  request,
} from '../idp/support.ts';
import { call, defaultRules, openWorld, type World } from './support/world.ts';

/** The introspection of a real provider (oidc-provider, which Logto is made of), with its odd answers. */

const client = { id: 'whoami-server', secret: 'a secret: of the tests + only' };
let issuer: Issuer;
let native: oauth.Configuration;
let resources: readonly string[] = [];
let worlds: World[] = [];
beforeAll(async () => {
  issuer = await openIssuer({ introspectionClient: client, resources: () => resources });
  native = await register(issuer);
});
afterAll(async () => {
  for (const world of worlds) await world.close();
  await issuer.close();
});

async function open(rules: Partial<IssuerRules> = {}): Promise<World> {
  const introspection = { id: client.id, secret: new Secret(client.secret) };
  const one = { ...defaultRules, introspection, ...rules, issuer: issuer.provider.issuer };
  const world = await openWorld({ settings: { issuers: [one] } });
  worlds = [...worlds, world];
  resources = world.server.resources;
  return world;
}

async function signIn(parameters: Record<string, string> = {}) {
  const { url, exchange } = await request(native, {
    redirect_uri: issuer.redirects.uri,
    scope: allScopes,
    prompt: 'consent',
    ...parameters,
  });
  return exchange(await visitAsDemoUser(url.href, 'alice'));
}

const ours = () => ({ allow: [{ claim: 'client_id', values: [native.clientMetadata().client_id] }] });

test('an opaque token is of our user: the person comes from userinfo', async () => {
  const world = await open(ours());
  expect(world.verification()).toContain('opaque tokens by introspection');
  const { access_token: token } = await signIn();
  const answer = await world.rpc(token, call());
  expect(answer.status).toBe(200);
  expect(answer.json()).toMatchObject({
    result: { structuredContent: { sub: 'alice', iss: issuer.provider.issuer, email: expect.any(String) } },
  });
  expect(JSON.stringify(answer.json())).not.toContain('client_id');
});

test(threat('R8', 'an opaque token of a client that is not named: it tells no audience, 401'), async () => {
  const world = await open({ allow: [{ claim: 'client_id', values: ['somebody-else'] }] });
  const { access_token: token } = await signIn();
  expect((await world.rpc(token, call())).status).toBe(401);
});

test(threat('R8', 'a refresh token, which the provider calls active without a type: 401'), async () => {
  const world = await open({ ...ours(), verify: 'introspection' });
  const { refresh_token: token, id_token: idToken } = await signIn();
  const answer = await world.rpc(token, call());
  expect(answer.status).toBe(401);
  expect(answer.json().error_description).toBe('The token is no access token');
  expect((await world.rpc(idToken, call())).status).toBe(401);
});

test('a token bound to us is a JWT: auto verifies it by signature, introspection is refused it', async () => {
  const world = await open();
  const { access_token: token } = await signIn({ resource: `${world.origin}/mcp` });
  expect((await world.rpc(token, call())).status).toBe(200);
  const strict = await open({ verify: 'introspection' });
  expect((await strict.rpc(token, call())).status).toBe(401);
});
