import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logout } from '../../../src/auth/logout.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const leave = () => logout(world.process(), world.settings);

describe('logout', () => {
  it('revokes the refresh token first, then the access token, then forgets', async () => {
    await world.login(world.process());
    const set = await openTokenStore(world.process(), world.settings).load();
    expect(await leave()).toEqual({ wasSignedIn: true, revoked: true });
    expect(world.issuer.at('revoke').map(({ form }) => form.get('token'))).toEqual([
      set!.refreshToken!.reveal(),
      set!.accessToken.reveal(),
    ]);
    expect(world.issuer.at('revoke')[0]!.form.get('token_type_hint')).toBe('refresh_token');
    expect(world.shared.entries.size + world.shared.index.size).toBe(0);
  });

  it('is fine where nobody is signed in', async () => {
    expect(await leave()).toEqual({ wasSignedIn: false, revoked: false });
    expect(world.issuer.seen).toEqual([]);
  });

  it('an access token that cannot be revoked is no failure', async () => {
    world.issuer.behaviour.revoke = (form) =>
      form.get('token_type_hint') === 'access_token'
        ? replyJson(400, { error: 'unsupported_token_type' })
        : undefined;
    await world.login(world.process());
    expect(await leave()).toEqual({ wasSignedIn: true, revoked: true });
  });

  it.each([
    ['refused with an empty 401', reply(401), '401'],
    ['refused with JSON', replyJson(400, { error: 'invalid_client' }), 'invalid_client'],
    ['broken', reply(503), '503'],
    ['redirected', reply(307, '', { location: 'https://evil.example/' }), 'redirects'],
  ])('revocation %s: forgotten all the same, with a warning', async (_name, answer, word) => {
    world.issuer.behaviour.revoke = () => answer;
    await world.login(world.process());
    const result = await leave();
    expect(result).toMatchObject({ wasSignedIn: true, revoked: false });
    expect(result.warning).toContain('may still honour');
    expect(result.warning).toContain(word);
    expect(world.shared.entries.size + world.shared.index.size).toBe(0);
  });

  it('the issuer is down: forgotten all the same, with a warning', async () => {
    await world.login(world.process());
    await world.issuer.close();
    expect((await leave()).warning).toContain('nothing listens');
    expect(world.shared.entries.size).toBe(0);
  });

  it('the issuer has no revocation: forgotten, with a warning', async () => {
    world.issuer.behaviour.metadata = ({ revocation_endpoint: _, ...it }) => it;
    await world.login(world.process());
    expect(await leave()).toMatchObject({ revoked: false, wasSignedIn: true });
  });

  it(threat('S3', 'an issuer that echoes the token in its refusal'), async () => {
    const edges = world.process();
    await world.login(edges);
    world.issuer.behaviour.revoke = (form) => replyJson(400, { error: `no ${form.get('token')}` });
    const { warning } = await logout(edges, world.settings);
    expect(warning).toContain('no [redacted]');
    expect(edges.lines.join('\n')).not.toContain(world.issuer.at('revoke')[0]!.form.get('token'));
  });

  it('what cannot be read can still be forgotten', async () => {
    await world.login(world.process());
    world.shared.broken.load = new AppError('keychain_locked', 'locked, or removed');
    expect(await leave()).toMatchObject({ wasSignedIn: true, revoked: false });
    expect(world.shared.entries.size + world.shared.index.size).toBe(0);
  });

  it('what cannot be forgotten is an error', async () => {
    await world.login(world.process());
    const edges = world.process();
    const stuck = async () => {
      throw new AppError('keychain_locked', 'locked');
    };
    const error = await refusal(
      logout({ ...edges, vault: { ...edges.vault, remove: stuck } }, world.settings),
    );
    expect(error.code).toBe('keychain_locked');
    expect(world.shared.index.size).toBe(1);
  });

  it(
    threat(
      'C22',
      'another path, origin or profile is left alone; other spellings of the same URL are the same',
    ),
    async () => {
      await world.login(world.process());
      const { origin, port } = world.resource.url;
      for (const other of [`${origin}/other`, `${origin}/mcp/x`, `http://localhost:${port}/mcp`]) {
        const edges = world.process();
        expect(await logout(edges, { server: new URL(other), profile: 'default' })).toMatchObject({
          wasSignedIn: false,
        });
      }
      expect(await logout(world.process(), { server: world.resource.url, profile: 'x' })).toMatchObject({
        wasSignedIn: false,
      });
      const shouted = new URL(world.resource.url.href.replace('http', 'HTTP').concat('#fragment'));
      expect(await logout(world.process(), { server: shouted, profile: 'default' })).toMatchObject({
        wasSignedIn: true,
      });
    },
  );
});
