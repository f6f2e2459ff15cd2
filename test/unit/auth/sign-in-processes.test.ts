import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import type { SignInAttempt } from '../../../src/lib/access.ts';
import { visit } from './support/http.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

let world: World;
const attempts: SignInAttempt[] = [];
beforeEach(async () => {
  world = await createWorld();
});
afterEach(async () => {
  for (const attempt of attempts.splice(0)) {
    attempt.cancel();
    await attempt.completed.catch(() => {});
  }
  await world.close();
});

const quiet = () => {
  const edges = world.process();
  edges.browse = async () => {};
  return edges;
};
async function start(edges: Process, scope?: string): Promise<SignInAttempt> {
  const attempt = await createSignIn(edges, world.settings).start(scope);
  attempts.push(attempt);
  return attempt;
}
const redirectUri = (attempt: SignInAttempt) =>
  new URL(attempt.url ?? '').searchParams.get('redirect_uri') ?? '';
/** The process dies: its listener and its locks go, what is in the vault stays. */
const kill = (attempt: SignInAttempt) => attempt.leave?.();

describe('several processes: one window', () => {
  it('the second has no URL and is signed in with the first', async () => {
    const [first, second] = [world.process(), world.process()];
    const one = await start(first);
    const two = await start(second);
    expect(two.url).toBeUndefined();
    expect(await two.openBrowser()).toBe(true);
    await one.openBrowser();
    await Promise.all([one.completed, two.completed]);
    expect(first.opened.length + second.opened.length).toBe(1);
    expect(world.issuer.at('authorize')).toHaveLength(1);
    expect(await createSession(second, world.settings).current()).toBeDefined();
    await until(() => world.shared.held.size === 0);
  });

  it('a sign-in in a terminal is joined, too', async () => {
    const terminal = quiet();
    let url = '';
    const login = world.login(terminal, {
      onUrl: (shown) => {
        url = shown;
      },
    });
    await until(() => url !== '');
    const attempt = await start(world.process());
    expect(attempt.url).toBeUndefined();
    await visit(url);
    await Promise.all([login, attempt.completed]);
  });

  it('the first is killed: the second takes over on the same port, without another window', async () => {
    const [first, second] = [quiet(), quiet()];
    const one = await start(first);
    await one.openBrowser();
    const two = await start(second);
    await two.openBrowser();
    const { url } = one;
    kill(one);
    await refusal(one.completed);
    await until(() => two.url !== undefined);
    expect(two.url).toBe(url);
    const page = await visit(url ?? '');
    expect(page.body).toContain('You are signed in');
    await two.completed;
    expect(second.opened).toEqual([]);
    expect(world.shared.entries.size).toBe(1);
  });

  it('one that starts after the first was killed takes over as well', async () => {
    const one = await start(quiet());
    await one.openBrowser();
    kill(one);
    await refusal(one.completed);
    const second = quiet();
    const two = await start(second);
    expect(two.url).toBe(one.url);
    expect(await two.openBrowser()).toBe(true);
    expect(second.opened).toEqual([]);
    await visit(two.url ?? '');
    await two.completed;
  });

  it('the first is killed before it opened the window: the second opens it', async () => {
    const one = await start(quiet());
    const second = world.process();
    const two = await start(second);
    await two.openBrowser();
    kill(one);
    await two.completed;
    expect(second.opened).toEqual([one.url]);
  });

  it('the first was denied: the second says so, and nobody opens another window', async () => {
    world.issuer.behaviour.authorize = ({ state, iss }) => ({
      error: 'access_denied',
      state: state ?? '',
      iss: iss ?? '',
    });
    const [first, second] = [world.process(), world.process()];
    const one = await start(first);
    const two = await start(second);
    await two.openBrowser();
    await one.openBrowser();
    expect((await refusal(one.completed)).code).toBe('sign_in_denied');
    expect((await refusal(two.completed)).code).toBe('sign_in_denied');
    expect(second.opened).toEqual([]);
    expect(world.shared.held.size).toBe(0);
  });

  it('a pending sign-in older than 5 minutes counts for nothing and is swept', async () => {
    const one = await start(quiet());
    kill(one);
    await refusal(one.completed);
    world.clock.wall += 5 * 60_000 + 1;
    const two = await start(world.process());
    expect(two.url).not.toBe(one.url);
    await two.openBrowser();
    await two.completed;
    expect(world.shared.entries.size).toBe(1);
  });

  it('a pending one whose port is taken by now is begun anew', async () => {
    const one = await start(quiet());
    kill(one);
    await refusal(one.completed);
    const { createServer } = await import('node:net');
    const squatter = createServer();
    const port = Number(new URL(redirectUri(one)).port);
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    const two = await start(quiet());
    squatter.close();
    expect(redirectUri(two)).not.toBe(redirectUri(one));
  });

  it('a pending one that asks for less is begun anew', async () => {
    const one = await start(quiet());
    kill(one);
    await refusal(one.completed);
    const two = await start(quiet(), 'admin');
    expect(two.url).not.toBe(one.url);
    expect(new URL(two.url ?? '').searchParams.get('scope')).toContain('admin');
  });

  it('who waits may stop waiting', async () => {
    const one = await start(quiet());
    const two = await start(quiet());
    two.cancel();
    expect((await refusal(two.completed)).code).toBe('cancelled');
    expect(redirectUri(one)).toBeTruthy();
    expect((await fetch(redirectUri(one))).status).toBe(404);
  });

  it('tokens in memory: each process has a window of its own', async () => {
    const edges = world.process('memory');
    const attempt = await createSignIn(edges, world.settings).start();
    attempts.push(attempt);
    await attempt.openBrowser();
    await attempt.completed;
    expect(await createSession(edges, world.settings).current()).toBeDefined();
    expect(world.shared.index.size).toBe(0);
  });
});
