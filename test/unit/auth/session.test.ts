import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/token-store.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { reply, replyJson } from './support/issuer.ts';
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

describe('a token that is fresh', () => {
  it('is read once, then served from memory', async () => {
    const one = session();
    const token = await one.current();
    world.shared.vaultCalls.length = 0;
    expect((await one.current())?.equals(token)).toBe(true);
    expect(world.shared.vaultCalls).toEqual([]);
    expect(world.issuer.seen).toEqual([]);
  });

  it('is undefined where nobody is signed in, and the keychain is left in peace', async () => {
    world.shared.index.clear();
    world.shared.vaultCalls.length = 0;
    expect(await session().current()).toBeUndefined();
    expect(world.shared.vaultCalls).toEqual([]);
  });

  it('appears without a restart when somebody signs in', async () => {
    const entry = new Map(world.shared.index);
    world.shared.index.clear();
    const one = session();
    expect(await one.current()).toBeUndefined();
    for (const [key, value] of entry) world.shared.index.set(key, value);
    expect(await one.current()).toBeInstanceOf(Secret);
  });

  it('a locked keychain is its own error, not a sign-out', async () => {
    world.shared.broken.load = new AppError('keychain_locked', 'locked');
    expect((await refusal(session().current())).code).toBe('keychain_locked');
    expect((await refusal(session().renew(undefined))).code).toBe('keychain_locked');
  });
});

describe('renewal by the clock', () => {
  it('happens within the margin, not before: 60 s of an hour', async () => {
    const one = session();
    const first = await one.current();
    pass(hour - 61_000);
    expect((await one.current())?.equals(first)).toBe(true);
    pass(2_000);
    const second = await one.current();
    expect(second?.equals(first)).toBe(false);
    expect(world.issuer.refreshes()).toBe(1);
    expect(world.issuer.at('token')[0]!.form.get('resource')).toBe(world.resource.url.href);
    expect((await stored())?.accessToken.equals(second)).toBe(true);
  });

  it('a life of 30 s has a margin of 3 s', async () => {
    world.issuer.behaviour.lifetime = 30;
    await world.login(world.process());
    const one = session();
    const first = await one.current();
    pass(26_000);
    expect((await one.current())?.equals(first)).toBe(true);
    pass(2_000);
    expect((await one.current())?.equals(first)).toBe(false);
    for (let i = 0; i < 5; i++) await one.current();
    expect(world.issuer.refreshes()).toBe(1);
  });

  it('an unknown lifetime: used until a 401', async () => {
    world.issuer.behaviour.grant = ({ expires_in: _, ...rest }) => rest;
    await world.login(world.process());
    const one = session();
    const first = await one.current();
    pass(1000 * hour);
    expect((await one.current())?.equals(first)).toBe(true);
  });

  it.each([0, -1, 'abc', Number.NaN, null])('C19: expires_in %s is an unknown lifetime', async (value) => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, expires_in: value });
    expect(await world.login(world.process())).toMatchObject({ expiresAt: undefined });
  });

  it('C19: 1e20 seconds are a year', async () => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, expires_in: 1e20 });
    await world.login(world.process());
    expect((await stored())?.lifetimeMs).toBe(365 * 24 * hour);
  });

  it('the wall clock jumps a day after a renewal in this process: nothing happens', async () => {
    const one = session();
    await one.renew(await one.current());
    for (const day of [24 * hour, -48 * hour]) {
      world.clock.wall += day;
      await one.current();
    }
    expect(world.issuer.refreshes()).toBe(1);
  });

  it('the issuer fails while the token still serves: it serves on, without asking at each call', async () => {
    const one = session();
    const first = await one.current();
    world.issuer.behaviour.token = () => reply(503);
    pass(hour - 30_000);
    for (let i = 0; i < 10; i++) expect((await one.current())?.equals(first)).toBe(true);
    expect(world.issuer.at('token')).toHaveLength(1);
  });
});

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

  it('S5: one refresh for 20 processes that find it revoked together', async () => {
    const all = Array.from({ length: 20 }, () => session());
    const rejected = await Promise.all(all.map((one) => one.current()));
    const tokens = await Promise.all(all.map((one, i) => one.renew(rejected[i])));
    expect(new Set(tokens.map((token) => token.reveal())).size).toBe(1);
    expect(world.issuer.refreshes()).toBe(1);
    expect(world.issuer.reused()).toBe(false);
  });

  it('S5: one refresh for 20 processes that find it expired together', async () => {
    const all = Array.from({ length: 20 }, () => session());
    await Promise.all(all.map((one) => one.current()));
    pass(hour);
    const tokens = await Promise.all(all.map((one) => one.current()));
    expect(new Set(tokens.map((token) => token!.reveal())).size).toBe(1);
    expect(world.issuer.refreshes()).toBe(1);
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

  it('asks no metadata again, and only the issuer that gave the token', async () => {
    world.issuer.behaviour.metadata = () => ({ issuer: 'https://evil.example' });
    const one = session();
    await one.renew(await one.current());
    expect(world.issuer.seen.map(({ path }) => path)).toEqual(['/oidc/token']);
  });

  it('C19: a server that refuses every token makes us renew a bounded number of times, and we say so', async () => {
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
  });

  it('C19: the same with 20 calls at a time', async () => {
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

describe('a refresh that is refused for good', () => {
  it.each([
    ['invalid_grant', replyJson(400, { error: 'invalid_grant' })],
    ['a 400 with an empty body', reply(400)],
    ['a 401 with a page', reply(401, '<h1>no</h1>', { 'content-type': 'text/html' })],
    ['invalid_client', replyJson(401, { error: 'invalid_client' })],
  ])('%s: not_signed_in naming the command; the set is marked, not deleted', async (_name, answer) => {
    world.issuer.behaviour.token = () => answer;
    const one = session();
    const error = await refusal(one.renew(await one.current()));
    expect(error.code).toBe('not_signed_in');
    expect(error.hint).toBe(`run mcp-whoami login ${world.resource.url.href}`);
    expect(await stored()).toMatchObject({ dead: true });
    expect([...world.shared.index.values()][0]).toMatchObject({ dead: true });
    const count = world.issuer.at('token').length;
    await refusal(one.renew(await one.current()));
    await refusal(session().renew((await stored())?.accessToken));
    expect(world.issuer.at('token')).toHaveLength(count);
  });

  it('a new sign-in brings it back to life in a running process', async () => {
    const one = session();
    world.issuer.revokeAll();
    const old = await one.current();
    await refusal(one.renew(old));
    await world.login(world.process());
    expect((await one.renew(old)).equals(old)).toBe(false);
    expect([...world.shared.index.values()][0]?.dead).toBeUndefined();
  });

  it('a dead set that is due is read anew, so that a new sign-in is seen without a 401', async () => {
    const one = session();
    world.issuer.revokeAll();
    await refusal(one.renew(await one.current()));
    pass(hour);
    await world.login(world.process());
    expect((await one.current())?.equals((await stored())?.accessToken)).toBe(true);
  });

  it('no refresh token: not_signed_in, nothing asked', async () => {
    world.issuer.behaviour.grant = ({ refresh_token: _, ...rest }) => rest;
    await world.login(world.process());
    world.issuer.seen.length = 0;
    const one = session();
    expect((await refusal(one.renew(await one.current()))).code).toBe('not_signed_in');
    expect(world.issuer.seen).toEqual([]);
  });

  it('invalid_client: the registration is dropped, the next sign-in registers anew in one go', async () => {
    const one = session();
    world.issuer.forgetClients();
    await refusal(one.renew(await one.current()));
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.opened).toHaveLength(1);
  });
});

describe('a refresh that fails for now', () => {
  it.each([
    ['500', reply(500)],
    ['503 with JSON', replyJson(503, { error: 'invalid_grant' })],
    ['429', reply(429)],
    ['200 with a page', reply(200, '<h1>hello</h1>', { 'content-type': 'text/html' })],
    ['200 without a token', replyJson(200, {})],
    ['temporarily_unavailable', replyJson(400, { error: 'temporarily_unavailable' })],
  ])('%s: issuer_unreachable, tokens kept, then it works', async (_name, answer) => {
    world.issuer.behaviour.token = () => answer;
    const edges = world.process();
    const one = session(edges);
    const rejected = await one.current();
    const error = await refusal(one.renew(rejected));
    expect(error.code).toBe('issuer_unreachable');
    expect(error.message).toContain(world.issuer.issuer);
    expect(await stored()).toMatchObject({ dead: false });
    expect(edges.opened).toEqual([]);
    delete world.issuer.behaviour.token;
    expect((await one.renew(rejected)).equals(rejected)).toBe(false);
  });

  it('nobody listens: issuer_unreachable, tokens kept', async () => {
    const one = session();
    const rejected = await one.current();
    await world.issuer.close();
    expect((await refusal(one.renew(rejected))).code).toBe('issuer_unreachable');
    expect(await stored()).toMatchObject({ dead: false });
  });

  it('a refusal about the request is told as it is, and ends nothing', async () => {
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_request' });
    const one = session();
    expect((await refusal(one.renew(await one.current()))).code).toBe('remote_error');
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_target' });
    const error = await refusal(one.renew(await one.current()));
    expect(error.code).toBe('invalid_target');
    expect(error.hint).toMatch(/API resource.*--resource none/);
    expect(await stored()).toMatchObject({ dead: false });
  });

  it('C9: a redirect of the token endpoint is not followed', async () => {
    world.issuer.behaviour.token = () => reply(307, '', { location: `${world.resource.origin}/evil` });
    const one = session();
    expect((await refusal(one.renew(await one.current()))).code).toBe('remote_error');
    expect(world.resource.seen).not.toContain('POST /evil');
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

it('the OAuth library is not loaded while the token is fresh', async () => {
  const { execFileSync } = await import('node:child_process');
  const { build } = await import('esbuild');
  const { join } = await import('node:path');
  const outdir = join(world.configDir, 'built');
  const { metafile } = await build({
    entryPoints: ['src/auth/session.ts'],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    outdir,
    metafile: true,
    logLevel: 'silent',
  });
  const entry = Object.values(metafile.outputs).find(
    ({ entryPoint }) => entryPoint === 'src/auth/session.ts',
  );
  expect(Object.keys(entry?.inputs ?? {}).filter((file) => file.includes('node_modules'))).toEqual([]);
  const script = `await import(${JSON.stringify(join(outdir, 'session.js'))}); console.log('loaded')`;
  expect(execFileSync(process.execPath, ['--input-type=module', '-e', script]).toString()).toBe('loaded\n');
});
