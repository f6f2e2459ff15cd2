import { afterAll, beforeAll, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { call, openWorld, type World } from './support/world.ts';

/** Tokens as Amazon Cognito makes them: no `aud`, a `client_id`, and `token_use` that tells what they are. */

let world: World;
beforeAll(async () => {
  world = await openWorld({ settings: { audience: 'our-client', requiredScope: [] } });
});
afterAll(() => world.close());

const status = async (token: string, at = world) => (await at.rpc(token, call())).status;
const access = (client: string, claims = {}) =>
  world.provider.jwt({
    header: { typ: undefined },
    claims: { client_id: client, token_use: 'access', ...claims },
    without: ['aud'],
  });

test('--audience may name the client that such tokens are bound to', async () => {
  const before = world.provider.counts.userinfo;
  expect(await status(await access('our-client'))).toBe(200);
  expect(world.provider.counts.userinfo).toBe(before);
});

test(threat('R4', 'a token of another client, and one that names both: 401'), async () => {
  expect(await status(await access('other-client'))).toBe(401);
  expect(await status(await access('other-client', { client_id: ['our-client'] }))).toBe(401);
  const bound = { client_id: 'our-client', aud: 'https://other.example' };
  expect(await status(await world.provider.jwt({ claims: bound }))).toBe(401);
});

test(threat('R4', 'its ID token, which is for that client too: 401'), async () => {
  const claims = { aud: 'our-client', token_use: 'id', client_id: undefined };
  expect(await status(await world.provider.jwt({ header: { typ: undefined }, claims }))).toBe(401);
});

test(
  threat('R4', 'a client that goes by the name of this server, where no audience was named: 401'),
  async () => {
    const own = await openWorld({ provider: world.provider, settings: { verify: 'jwt', requiredScope: [] } });
    try {
      expect(await status(await access(`${own.origin}/mcp`), own)).toBe(401);
      expect(await status(await access('our-client'), own)).toBe(401);
    } finally {
      await own.close();
    }
  },
);
