import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt, type JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClientSession } from '../../../src/auth/client-session.ts';
import { signInAsClient } from '../../../src/auth/client-sign-in.ts';
import { logout } from '../../../src/auth/logout.ts';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import {
  type ConfidentialOptions,
  confidentialClient,
  confidentialProvider,
  publicKeys,
} from '../../support/confidential-provider.ts';
import { threat } from '../../support/threats.ts';
import { reply, replyJson, startIssuer } from './support/issuer.ts';
import { createWorld, type Process, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
  world.settings = {
    ...world.settings,
    clientId: 'machine',
    clientSecret: new Secret(secretText),
    clientCredentials: true,
  };
});
afterEach(() => world.close());

const secretText = 'machine-secret-of-forty-characters-or-so';
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK;
const hour = 3_600_000;
const pass = (ms: number) => {
  world.clock.wall += ms;
  world.clock.monotonic += ms;
};

async function provider(options: Omit<ConfidentialOptions, 'clients'> = {}) {
  const clients = [
    confidentialClient({
      client_id: 'machine',
      client_secret: secretText,
      token_endpoint_auth_method: 'client_secret_post',
    }),
    confidentialClient({
      client_id: 'by-key',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: publicKeys(key),
    }),
    confidentialClient({
      client_id: 'for-people',
      client_secret: secretText,
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['authorization_code'],
    }),
  ];
  const started = await confidentialProvider({ clients, ...options });
  world.keep({ origin: started.issuer, port: 0, close: started.close });
  world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [started.issuer] });
  return started;
}
/** The small issuer gives tokens to everybody who asks. */
function generous(more: Record<string, unknown> = {}): void {
  let count = 0;
  world.issuer.behaviour.token = () =>
    replyJson(200, { access_token: `own-${++count}`, token_type: 'bearer', expires_in: 3600, ...more });
}

const signIn = (more: Partial<SignInSettings> = {}, edges: Process = world.process()) =>
  signInAsClient(edges, { ...world.settings, ...more });
const session = (edges: Process = world.process()) => createSession(edges, world.settings);
const ownSession = (edges: Process = world.process()) => createClientSession(edges, world.settings);
const stored = () => openTokenStore(world.process(), world.settings).load();
const entry = () => [...world.shared.index.values()][0];

describe('against oidc-provider', () => {
  it('a token bound to the server, renewed by the same grant, revoked at the end', async () => {
    const { grants, revocations } = await provider({ opaque: true });
    expect(await signIn()).toMatchObject({ subject: 'machine', clientId: 'machine' });
    const one = session();
    const first = await one.current();
    const second = await one.renew(first);
    expect(second.equals(first)).toBe(false);
    const resource = world.resource.url.href;
    const own = { type: 'client_credentials', client: 'machine', resource, scope: 'openid profile' };
    expect(grants).toMatchObject([own, own]);
    expect(entry()).toMatchObject({ asClient: true, renewable: true, clientId: 'machine' });
    expect(await logout(world.process(), world.settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(revocations()).toBe(1);
    expect(world.shared.entries.size + world.shared.index.size).toBe(0);
  });

  it('by its key: a JWT whose audience is the server', async () => {
    const { grants } = await provider();
    const clientKey = join(world.configDir, 'machine.jwk');
    await writeFile(clientKey, JSON.stringify(key), { mode: 0o600 });
    await signIn({ clientId: 'by-key', clientSecret: undefined, clientKey });
    const one = session();
    const token = await one.renew(await one.current());
    expect(decodeJwt(token.reveal())).toMatchObject({ aud: world.resource.url.href, client_id: 'by-key' });
    expect(grants.map(({ method }) => method)).toEqual(['private_key_jwt', 'private_key_jwt']);
  });

  it('one grant for 20 processes that find the token expired together', async () => {
    const { grants } = await provider();
    await signIn();
    const all = Array.from({ length: 20 }, () => session());
    await Promise.all(all.map((one) => one.current()));
    pass(hour);
    const tokens = await Promise.all(all.map((one) => one.current()));
    expect(new Set(tokens.map((token) => token!.reveal())).size).toBe(1);
    expect(grants).toHaveLength(2);
  });

  it('a client that may not: an error that says what to allow', async () => {
    await provider();
    const error = await refusal(signIn({ clientId: 'for-people' }));
    expect(error).toMatchObject({ code: 'sign_in_failed' });
    expect(error.message).toContain('requested grant type is not allowed');
    expect(error.hint).toContain('allow the grant client_credentials');
    expect(world.shared.entries.size).toBe(0);
  });

  it('a wrong secret: an error that says what to check, and nothing is kept', async () => {
    await provider();
    const error = await refusal(signIn({ clientSecret: new Secret('wrong') }));
    expect(error.hint).toContain('MCP_WHOAMI_CLIENT_SECRET');
    expect(world.shared.entries.size).toBe(0);
  });
});

describe('what is sent', () => {
  it('no offline_access, no browser, no registration; --scope, --resource and --auth-param as for a person', async () => {
    generous();
    const edges = world.process();
    await signIn({}, edges);
    await signIn(
      { scope: 'api.read', resource: 'none', authParams: { audience: 'https://api.example' } },
      edges,
    );
    const [first, second] = world.issuer.at('token').map(({ form }) => Object.fromEntries(form));
    expect(first).toMatchObject({ grant_type: 'client_credentials', scope: 'openid profile' });
    expect(first?.resource).toBe(world.resource.url.href);
    expect(second).toMatchObject({ scope: 'api.read', audience: 'https://api.example' });
    expect(second).not.toHaveProperty('resource');
    expect([edges.opened, world.issuer.at('register'), world.issuer.at('authorize')]).toEqual([[], [], []]);
    pass(2 * hour);
    await session().current();
    const again = Object.fromEntries(world.issuer.at('token').at(-1)!.form);
    expect(again).toMatchObject({ scope: 'api.read', audience: 'https://api.example' });
    expect(again).not.toHaveProperty('resource');
  });

  it('a refresh token that is given all the same is not kept', async () => {
    generous({ refresh_token: 'never-asked-for' });
    await signIn();
    await session().renew(await session().current());
    expect((await stored())?.refreshToken).toBeUndefined();
    expect(
      world.issuer.at('token').every(({ form }) => form.get('grant_type') === 'client_credentials'),
    ).toBe(true);
  });

  it('a server without authorization endpoint and PKCE will do', async () => {
    world.issuer.behaviour.metadata = ({
      authorization_endpoint: _a,
      code_challenge_methods_supported: _c,
      ...it
    }) => it;
    generous();
    expect(await signIn()).toMatchObject({ clientId: 'machine' });
    const person = { clientCredentials: false };
    const error = await refusal(world.login(world.process(), {}, person));
    expect(error.message).toContain('lacks authorization_endpoint');
    expect(error.hint).toContain('--client-credentials');
  });

  it.each([
    ['no client', { clientId: undefined }, 'which client'],
    ['nothing to prove it with', { clientSecret: undefined }, 'a secret or a key'],
    ['a parameter that is ours', { authParams: { grant_type: 'password' } }, 'grant_type'],
  ])('%s: usage, and nothing is asked of the token endpoint', async (_name, more, word) => {
    const error = await refusal(signIn(more));
    expect(error.code).toBe('usage');
    expect(error.message).toContain(word);
    expect(world.issuer.at('token')).toEqual([]);
  });

  it('a provider that does not list the grant: tried, and told what it lists when it refuses', async () => {
    world.issuer.behaviour.metadata = (it) => ({ ...it, grant_types_supported: ['authorization_code'] });
    generous();
    expect(await signIn()).toMatchObject({ clientId: 'machine' });
    world.issuer.behaviour.token = () => replyJson(400, { error: 'unsupported_grant_type' });
    expect((await refusal(signIn())).message).toContain('it lists authorization_code');
  });
});

describe('the session', () => {
  it('an issuer that is down at a renewal: the token serves to its end, then an error; the sign-in stays', async () => {
    generous();
    await signIn();
    const one = session();
    const token = await one.current();
    world.issuer.behaviour.token = () => reply(503);
    pass(hour - 30_000);
    expect((await one.current())?.equals(token)).toBe(true);
    pass(40_000);
    expect((await refusal(one.current())).code).toBe('issuer_unreachable');
    expect(entry()?.dead).toBeUndefined();
  });

  it('a secret that was changed at the provider ends it, with the command to type', async () => {
    generous();
    await signIn();
    world.issuer.behaviour.token = () => replyJson(401, { error: 'invalid_client' });
    const one = session();
    const error = await refusal(one.renew(await one.current()));
    expect(error.code).toBe('not_signed_in');
    expect(error.hint).toContain('mcp-whoami login');
    expect(entry()?.dead).toBe(true);
  });

  it('signs in by itself where nobody has, once for 20 processes, and only when the server wants a token', async () => {
    generous();
    const all = Array.from({ length: 20 }, () => ownSession());
    expect(await Promise.all(all.map((one) => one.current()))).toEqual(all.map(() => undefined));
    expect(world.issuer.at('token')).toEqual([]);
    const tokens = await Promise.all(all.map((one) => one.renew(undefined)));
    expect(tokens.map((token) => token.reveal())).toEqual(all.map(() => 'own-1'));
    expect(world.issuer.at('token')).toHaveLength(1);
  });

  it('signs in anew, with the secret of the settings, where the issuer refused to renew with the old one', async () => {
    let [right, count] = [secretText, 0];
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    world.issuer.behaviour.token = (form) =>
      form.get('client_secret') === right
        ? replyJson(200, { access_token: `own-${++count}`, token_type: 'bearer' })
        : replyJson(401, { error: 'invalid_client' });
    await signIn();
    const old = await session().current();
    right = 'rotated';
    world.settings = { ...world.settings, clientSecret: new Secret(right) };
    const one = ownSession();
    expect((await one.renew(old)).reveal()).toBe('own-2');
    expect((await one.renew(await one.current())).reveal()).toBe('own-3');
    expect(entry()?.dead).toBeUndefined();
  });

  it('without anything to prove the client with it is signed out, and says what is missing', async () => {
    world.settings = { ...world.settings, clientSecret: undefined };
    const error = await refusal(ownSession().renew(undefined));
    expect(error.code).toBe('not_signed_in');
    expect(error.hint).toContain('MCP_WHOAMI_CLIENT_SECRET');
  });

  it('asks no more for a while after it was refused', async () => {
    world.issuer.behaviour.token = () => replyJson(401, { error: 'invalid_client' });
    const one = ownSession();
    const errors = [];
    for (let i = 0; i < 5; i++) errors.push(await refusal(one.renew(undefined)));
    expect(new Set(errors.map(({ message }) => message)).size).toBe(1);
    const asked = world.issuer.at('token').length;
    pass(6_000);
    await refusal(one.renew(undefined));
    expect(world.issuer.at('token')).toHaveLength(2 * asked);
  });

  it(threat('S7', "the client's own secret goes to no second issuer"), async () => {
    generous();
    await signIn();
    const evil = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.issuer] });
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_grant' });
    const one = ownSession();
    const error = await refusal(one.renew(await one.current()));
    expect(error.code).toBe('metadata_invalid');
    expect(evil.at('token')).toEqual([]);
    expect(JSON.stringify(evil.seen)).not.toContain(secretText);
  });
});
