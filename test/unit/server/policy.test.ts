import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClaimRule } from '../../../src/lib/settings.ts';
import { matches } from '../../../src/server/verify/policy.ts';
import { call, openWorld, type World, type WorldOptions } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

async function inWorld(settings: NonNullable<WorldOptions['settings']>, run: (own: World) => Promise<void>) {
  const own = await openWorld({ provider: world.provider, settings });
  try {
    await run(own);
  } finally {
    await own.close();
  }
}
const jwt = (at: World, claims: Record<string, unknown> = {}) =>
  world.provider.jwt({ claims: { aud: `${at.origin}/mcp`, ...claims } });
const rule = (claim: string, ...values: string[]): ClaimRule => ({ claim, values });
const shown = (answer: { json(): unknown }) =>
  (answer.json() as { result: { structuredContent: object } }).result.structuredContent;

describe('--allow', () => {
  test('lets in who has one of the values of every claim, and nobody else', async () => {
    await inWorld(
      { allow: [rule('groups', 'staff', 'admin'), rule('email_verified', 'true')] },
      async (own) => {
        const status = async (claims: Record<string, unknown>) =>
          (await own.rpc(await jwt(own, claims), call())).status;
        expect(await status({ groups: ['x', 'staff'], email_verified: true })).toBe(200);
        expect(await status({ groups: 'admin', email_verified: true })).toBe(200);
        expect(await status({ groups: ['staff'], email_verified: false })).toBe(403);
        expect(await status({ groups: ['staffing'], email_verified: true })).toBe(403);
        expect(await status({ groups: ['staff'] })).toBe(403);
        expect(await status({ email_verified: true })).toBe(403);
      },
    );
  });

  test('answers who is not let in with 403 access_denied, no challenge, no charge; the log tells the claim', async () => {
    await inWorld({ allow: [rule('email', 'boss@example.com')] }, async (own) => {
      const token = await jwt(own);
      for (let i = 0; i < 120; i++) {
        const answer = await own.rpc(token, call());
        expect(answer.status).toBe(403);
        expect(answer.json().error).toBe('access_denied');
        expect(answer.headers).not.toHaveProperty('www-authenticate');
      }
      expect(own.log()).toContain('--allow does not let this user in');
      expect(own.log()).toContain('claim="email"');
      expect(own.log()).not.toContain('alice@example.com');
    });
  });

  test('is asked after the scopes: another sign-in may bring both', async () => {
    await inWorld({ allow: [rule('email', 'boss@example.com')] }, async (own) => {
      const answer = await own.rpc(await jwt(own, { scope: 'openid' }), call());
      expect(answer.json().error).toBe('insufficient_scope');
    });
  });

  test('judges what userinfo tells, too', async () => {
    await inWorld({ verify: 'userinfo', allow: [rule('team', 'red')] }, async (own) => {
      expect((await own.rpc(world.provider.opaque('olga', { team: 'red' }), call())).status).toBe(200);
      expect((await own.rpc(world.provider.opaque('olga', { team: 'blue' }), call())).status).toBe(403);
    });
  });

  test('for a claim of the token closes the way through userinfo, which tells of none', async () => {
    await inWorld({ allow: [rule('client_id', 'test-client')] }, async (own) => {
      expect((await own.rpc(await jwt(own), call())).status).toBe(200);
      expect((await own.rpc(await jwt(own, { client_id: 'evil' }), call())).status).toBe(403);
      const asked = world.provider.counts.userinfo;
      expect((await own.rpc(world.provider.opaque('olga'), call())).status).toBe(401);
      expect(world.provider.counts.userinfo).toBe(asked);
    });
  });

  test.each([
    [{ a: 'x' }, true],
    [{ a: ['y', 'x'] }, true],
    [{ a: [] }, false],
    [{ a: [['x']] }, false],
    [{ a: { x: 'x' } }, false],
    [{ a: 'X' }, false],
    [{ a: 'x ' }, false],
    [{ a: null }, false],
    [{ b: 'x' }, false],
    [{ a: 7 }, false],
  ])('%j matches a=x: %s', (claims, wanted) => {
    expect(matches(claims, rule('a', 'x'))).toBe(wanted);
  });

  test('numbers and truth values match as they are written; what is only inherited does not exist', () => {
    expect(matches({ a: 7 }, rule('a', '7'))).toBe(true);
    expect(matches({ a: false }, rule('a', 'false'))).toBe(true);
    expect(matches({}, rule('a', 'undefined'))).toBe(false);
    expect(matches({ a: null }, rule('a', 'null'))).toBe(false);
    expect(matches({}, rule('constructor', String(Object)))).toBe(false);
  });
});

describe('--claims', () => {
  test('chooses what is shown beside sub and iss, in every way of verification', async () => {
    await inWorld({ claims: ['email', 'groups'] }, async (own) => {
      const { issuer } = world.provider;
      const seen = shown(await own.rpc(await jwt(own, { groups: ['g'] }), call()));
      expect(seen).toEqual({ sub: 'alice', iss: issuer, email: 'alice@example.com', groups: ['g'] });
      const opaque = shown(await own.rpc(world.provider.opaque('olga'), call()));
      expect(opaque).toEqual({ sub: 'olga', iss: issuer, email: 'olga@example.com' });
    });
  });

  test('does not hide a claim from --allow', async () => {
    await inWorld({ claims: [], allow: [rule('email', 'alice@example.com')] }, async (own) => {
      const seen = shown(await own.rpc(await jwt(own), call()));
      expect(seen).toEqual({ sub: 'alice', iss: world.provider.issuer });
    });
  });

  test('shows nothing of the token itself, even where it is named', async () => {
    await inWorld({ claims: ['client_id', 'aud', 'jti', 'scope', 'exp'] }, async (own) => {
      const seen = shown(await own.rpc(await jwt(own), call()));
      expect(seen).toEqual({ sub: 'alice', iss: world.provider.issuer });
    });
  });
});
