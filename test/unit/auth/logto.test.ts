import { createServer } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logout } from '../../../src/auth/logout.ts';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { type LogtoLike, logtoLike } from '../../support/logto.ts';
import { createWorld, refusal, type World } from './support/world.ts';

/** A real oidc-provider, set up as Logto is; the resource in front of it is the test's own. */
let logto: LogtoLike;
let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  await logto.close();
  await world.close();
});

async function begin(register: boolean): Promise<void> {
  logto = await logtoLike(register ? [world.resource.url.href] : []);
  world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [logto.issuer] });
}
const login = (more: Record<string, unknown> = {}) =>
  world.login(world.process(), {}, { clientId: logto.clientId, ...more });
const stored = () => openTokenStore(world.process(), world.settings).load();

describe('Logto', () => {
  it('without --client-id: registration_failed naming it', async () => {
    await begin(true);
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('registration_failed');
    expect(error.hint).toContain('--client-id');
  });

  it('with the URL registered as an API resource: a JWT bound to us, a refresh token', async () => {
    await begin(true);
    const signedIn = await login();
    expect(signedIn).toMatchObject({ issuer: logto.issuer, subject: 'carol' });
    const set = await stored();
    const [, payload] = set!.accessToken.reveal().split('.');
    expect(JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())).toMatchObject({
      aud: world.resource.url.href,
      sub: 'carol',
    });
    expect(set?.refreshToken).toBeDefined();
  });

  it('with a resource that it does not know: invalid_target naming both ways', async () => {
    await begin(false);
    const error = await refusal(login());
    expect(error.code).toBe('invalid_target');
    expect(error.hint).toMatch(
      /register .* as an API resource at the provider, or sign in with --resource none/,
    );
    expect(world.shared.entries.size).toBe(0);
  });

  it('with --resource none: an opaque token, the name from userinfo', async () => {
    await begin(false);
    expect(await login({ resource: 'none' })).toMatchObject({ subject: 'carol', name: 'Carol' });
    expect((await stored())?.accessToken.reveal()).not.toContain('.');
  });

  it('gives a refresh token for offline_access alone: without it the way to get one is told', async () => {
    await begin(true);
    const edges = world.process();
    await world.login(edges, {}, { clientId: logto.clientId, scope: 'openid profile' });
    expect((await stored())?.refreshToken).toBeUndefined();
    expect(edges.lines.join()).toContain('add offline_access to --scope');
  });

  it('renews with rotation, 5 processes at once, then signs out', async () => {
    await begin(true);
    await login();
    const sessions = Array.from({ length: 5 }, () => createSession(world.process(), world.settings));
    const before = logto.count('/token');
    const rejected = await sessions[0]!.current();
    const tokens = await Promise.all(sessions.map((session) => session.renew(rejected)));
    expect(new Set(tokens.map((token) => token.reveal())).size).toBe(1);
    expect(logto.count('/token')).toBe(before + 1);
    expect(await logout(world.process(), world.settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(await stored()).toBeUndefined();
  });

  it('a refresh token that is used up ends the sign-in, and nothing else does', async () => {
    await begin(true);
    await login();
    const used = [...world.shared.entries];
    const one = createSession(world.process(), world.settings);
    await one.renew(await one.current());
    // What a process with an old copy of the vault would send: reuse, which revokes the family.
    for (const [key, value] of used) world.shared.entries.set(key, value);
    const two = createSession(world.process(), world.settings);
    expect((await refusal(two.renew(await two.current()))).code).toBe('not_signed_in');
  });
});

it('is down: issuer_unreachable', async () => {
  await begin(true);
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
  const { port } = free.address() as import('node:net').AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  world.resource.behaviour.metadata = (it) => ({
    ...it,
    authorization_servers: [`http://127.0.0.1:${port}/oidc`],
  });
  expect((await refusal(login())).code).toBe('issuer_unreachable');
});
