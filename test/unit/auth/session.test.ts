import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { reply } from './support/issuer.ts';
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

  it.each([0, -1, 'abc', Number.NaN, null])(
    threat('C19', 'expires_in %s is an unknown lifetime'),
    async (value) => {
      world.issuer.behaviour.grant = (answer) => ({ ...answer, expires_in: value });
      expect(await world.login(world.process())).toMatchObject({ expiresAt: undefined });
    },
  );

  it(threat('C19', '1e20 seconds are a year'), async () => {
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
