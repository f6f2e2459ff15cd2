import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';
import { replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
  await world.login(world.process());
  world.issuer.seen.length = 0;
});
afterEach(() => world.close());

const session = (edges: Process = world.process()) => createSession(edges, world.settings);
const stored = () => openTokenStore(world.process(), world.settings).load();
/** Time passes for everybody. Milliseconds. */
const pass = (ms: number) => {
  world.clock.wall += ms;
  world.clock.monotonic += ms;
};
const hour = 3_600_000;

describe('renewal after a 401', () => {
  it('one refresh for 20 concurrent callers, one look into the vault', async () => {
    const one = session();
    const rejected = await one.current();
    world.shared.vaultCalls.length = 0;
    const tokens = await Promise.all(Array.from({ length: 20 }, () => one.renew(rejected)));
    expect(new Set(tokens.map((token) => token.reveal())).size).toBe(1);
    expect(tokens[0]!.equals(rejected)).toBe(false);
    expect(world.issuer.refreshes()).toBe(1);
    expect(world.shared.vaultCalls.map((call) => call.split(' ')[0])).toEqual(['load', 'save']);
  });

  it(threat('S5', 'one refresh for 20 processes that find it revoked together'), async () => {
    const all = Array.from({ length: 20 }, () => session());
    const rejected = await Promise.all(all.map((one) => one.current()));
    const tokens = await Promise.all(all.map((one, i) => one.renew(rejected[i])));
    expect(new Set(tokens.map((token) => token.reveal())).size).toBe(1);
    expect(world.issuer.refreshes()).toBe(1);
    expect(world.issuer.reused()).toBe(false);
  });

  it(threat('S5', 'one refresh for 20 processes that find it expired together'), async () => {
    const all = Array.from({ length: 20 }, () => session());
    await Promise.all(all.map((one) => one.current()));
    pass(hour);
    const tokens = await Promise.all(all.map((one) => one.current()));
    expect(new Set(tokens.map((token) => token!.reveal())).size).toBe(1);
    expect(world.issuer.refreshes()).toBe(1);
  });

  it('an endpoint over plain http that was allowed at the sign-in needs no word about it again', async () => {
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint: String(it.token_endpoint).replace('127.0.0.1', '0.0.0.0'),
    });
    const refused = await refusal(world.login(world.process()));
    expect(refused).toMatchObject({ code: 'insecure_url', hint: expect.stringContaining('--allow-http') });
    await world.login(
      world.process(),
      {},
      { allowHttp: [world.issuer.origin.replace('127.0.0.1', '0.0.0.0')] },
    );
    const one = session();
    const rejected = await one.current();
    expect((await one.renew(rejected)).equals(rejected)).toBe(false);
  });

  it('a token of which the server wants more scopes: what was granted, and whether it was replaced', async () => {
    const one = session();
    const narrow = await one.current();
    if (!narrow) throw new Error('not signed in');
    expect(await one.insufficient(narrow)).toEqual({ replaced: false, scopes: expect.any(Array) });
    await world.login(world.process());
    expect((await one.insufficient(narrow)).replaced).toBe(true);
    const wide = (await stored())?.accessToken;
    expect((await one.current())?.equals(wide)).toBe(true);
    expect(world.issuer.refreshes()).toBe(0);
  });

  it('another process has renewed: its token, no refresh of our own', async () => {
    const [one, two] = [session(), session()];
    const old = await two.current();
    const fresh = await one.renew(await one.current());
    expect((await two.renew(old)).equals(fresh)).toBe(true);
    expect(world.issuer.refreshes()).toBe(1);
  });

  it('somebody has signed in anew: that token', async () => {
    const one = session();
    const old = await one.current();
    await world.login(world.process());
    const before = world.issuer.refreshes();
    expect((await one.renew(old)).equals((await stored())?.accessToken)).toBe(true);
    expect(world.issuer.refreshes()).toBe(before);
  });

  it('an answer without refresh token and scope keeps the old ones', async () => {
    world.issuer.behaviour.token = () => replyJson(200, { access_token: 'new', token_type: 'bearer' });
    const before = await stored();
    const one = session();
    await one.renew(await one.current());
    const after = await stored();
    expect(after?.refreshToken?.equals(before?.refreshToken)).toBe(true);
    expect(after?.scope).toBe(before?.scope);
    expect(after?.lifetimeMs).toBeUndefined();
  });

  it(threat('C21', 'asks no metadata again, and only the issuer that gave the token'), async () => {
    world.issuer.behaviour.metadata = () => ({ issuer: 'https://evil.example' });
    const one = session();
    await one.renew(await one.current());
    expect(world.issuer.seen.map(({ path }) => path)).toEqual(['/oidc/token']);
  });

  it(
    threat(
      'C19',
      'a server that refuses every token makes us renew a bounded number of times, and we say so',
    ),
    async () => {
      const one = session();
      let error: AppError | undefined;
      for (let i = 0; i < 50 && !error; i++) {
        const token = await one.current();
        await one.renew(token).catch((thrown: AppError) => {
          error = thrown;
        });
      }
      expect(error?.code).toBe('token_rejected');
      expect(world.issuer.refreshes()).toBeLessThan(8);
      const before = world.issuer.refreshes();
      for (let i = 0; i < 20; i++) await refusal(one.renew(await one.current()));
      expect(world.issuer.refreshes()).toBe(before);
    },
  );

  it(threat('C19', 'the same with 20 calls at a time'), async () => {
    const one = session();
    const codes = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const tokens = await Promise.all(Array.from({ length: 20 }, () => one.current()));
      const outcomes = await Promise.allSettled(tokens.map((token) => one.renew(token)));
      for (const it of outcomes) if (it.status === 'rejected') codes.add((it.reason as AppError).code);
    }
    expect([...codes]).toEqual(['token_rejected']);
    expect(world.issuer.refreshes()).toBeLessThan(10);
  });

  it('tokens that serve for a while may be revoked as often as anybody likes', async () => {
    const one = session();
    for (let i = 0; i < 12; i++) {
      for (let use = 0; use < 5; use++) await one.current();
      await one.renew(await one.current());
    }
    expect(world.issuer.refreshes()).toBe(12);
  });
});

describe('a store that takes nothing', () => {
  it('the renewed tokens stay in memory, are said, and saved later', async () => {
    const edges = world.process();
    const one = session(edges);
    const old = await one.current();
    world.shared.broken.save = new AppError('vault_failed', 'read-only');
    const fresh = await one.renew(old);
    expect(edges.lines.join()).toContain('could not be saved');
    expect((await one.current())?.equals(fresh)).toBe(true);
    world.shared.broken.save = undefined;
    await one.settle();
    expect((await stored())?.accessToken.equals(fresh)).toBe(true);
  });

  it('the next renewal goes on from the tokens in memory', async () => {
    const one = session();
    world.shared.broken.save = new AppError('vault_failed', 'read-only');
    const second = await one.renew(await one.current());
    world.shared.broken.save = undefined;
    const third = await one.renew(second);
    expect(third.equals(second)).toBe(false);
    expect(world.issuer.reused()).toBe(false);
    expect((await stored())?.accessToken.equals(third)).toBe(true);
  });

  it('a sign-in made meanwhile is not written over', async () => {
    const one = session();
    world.shared.broken.save = new AppError('vault_failed', 'read-only');
    await one.renew(await one.current());
    world.shared.broken.save = undefined;
    await world.login(world.process());
    const signedIn = (await stored())?.accessToken;
    await one.settle();
    expect((await stored())?.accessToken.equals(signedIn)).toBe(true);
  });
});
