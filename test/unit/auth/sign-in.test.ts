import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import type { SignInAttempt } from '../../../src/lib/access.ts';
import { nothingThere, openMcp } from './support/resource.ts';
import { createWorld, type Process, refusal, type World } from './support/world.ts';

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
const stored = () => openTokenStore(world.process(), world.settings).load();
const redirectUri = (attempt: SignInAttempt) =>
  new URL(attempt.url ?? '').searchParams.get('redirect_uri') ?? '';

describe('one process', () => {
  it('signs in: URL, browser, tokens, nothing pending', async () => {
    const edges = world.process();
    const attempt = await start(edges);
    expect(attempt.url).toContain('/authorize?');
    expect(await attempt.openBrowser()).toBe(true);
    await attempt.completed;
    expect(await stored()).toMatchObject({ issuer: world.issuer.issuer });
    expect(world.shared.entries.size).toBe(1);
    expect(world.shared.held.size).toBe(0);
    expect(await createSession(edges, world.settings).current()).toBeDefined();
  });

  it('joins the attempt under way, and opens one window', async () => {
    const edges = quiet();
    const signIn = createSignIn(edges, world.settings);
    const [one, two] = await Promise.all([signIn.start(), signIn.start()]);
    attempts.push(one);
    expect(two).toBe(one);
    await Promise.all([one.openBrowser(), two.openBrowser(), one.openBrowser()]);
    expect(edges.opened).toHaveLength(1);
  });

  it('starts anew after the end of the one before', async () => {
    const signIn = createSignIn(world.process(), world.settings);
    const one = await signIn.start();
    await one.openBrowser();
    await one.completed;
    const two = await signIn.start('admin');
    attempts.push(two);
    expect(two).not.toBe(one);
  });

  it('a browser that cannot be started may be tried again', async () => {
    const edges = quiet();
    let works = false;
    edges.openBrowser = async () => works;
    const attempt = await start(edges);
    expect(await attempt.openBrowser()).toBe(false);
    works = true;
    expect(await attempt.openBrowser()).toBe(true);
  });

  it('asks for more scopes on top', async () => {
    const attempt = await start(quiet(), 'mail files');
    expect(new URL(attempt.url ?? '').searchParams.get('scope')).toBe(
      'openid profile offline_access mail files',
    );
  });

  it('a step-up asks for all that an earlier one brought, in memory too', async () => {
    for (const edges of [world.process(), world.process('memory')]) {
      const signIn = createSignIn(edges, world.settings);
      for (const scope of ['files:read', 'files:write']) {
        const attempt = await signIn.start(scope);
        await attempt.openBrowser();
        await attempt.completed;
      }
      const asked = world.issuer.at('authorize').at(-1)?.query.get('scope')?.split(' ');
      expect(asked).toEqual(expect.arrayContaining(['files:read', 'files:write']));
    }
  });

  it('cancel: nothing listens, nothing is kept but a pause, in all processes', async () => {
    const attempt = await start(quiet());
    const uri = redirectUri(attempt);
    attempt.cancel();
    expect((await refusal(attempt.completed)).code).toBe('cancelled');
    await expect(fetch(uri)).rejects.toThrow();
    expect(world.shared.held.size).toBe(0);
    await refusal(start(world.process()));
    const error = await refusal(start(world.process()));
    expect(error.code).toBe('sign_in_denied');
    expect(error.hint).toMatch(/try again in (29|30) s, or run mcp-whoami login/);
    world.clock.wall += 31_000;
    await start(quiet());
  });

  it('denial: sign_in_denied, then a pause; a sign-in in the terminal is still possible', async () => {
    world.issuer.behaviour.authorize = ({ state, iss }) => ({
      error: 'access_denied',
      state: state ?? '',
      iss: iss ?? '',
    });
    const attempt = await start(world.process());
    await attempt.openBrowser();
    expect((await refusal(attempt.completed)).code).toBe('sign_in_denied');
    expect((await refusal(start(world.process()))).code).toBe('sign_in_denied');
    delete world.issuer.behaviour.authorize;
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });

  it('the sign-in in the terminal ends the attempt well', async () => {
    const attempt = await start(quiet());
    const uri = redirectUri(attempt);
    await world.login(world.process());
    await attempt.completed;
    await expect(fetch(uri)).rejects.toThrow();
    expect(world.shared.entries.size).toBe(1);
    expect(world.shared.held.size).toBe(0);
  });

  it('a server that offers no sign-in is told as such', async () => {
    world.resource.behaviour.before = (request, response, url) =>
      (url.pathname === '/mcp' ? openMcp : nothingThere)(request, response);
    expect((await refusal(start(world.process()))).code).toBe('sign_in_failed');
    expect(world.shared.held.size).toBe(0);
  });

  it('an issuer that is down: issuer_unreachable, nothing is held, the next try works', async () => {
    const metadata = world.issuer.behaviour.metadataAt;
    world.issuer.behaviour.metadataAt = [];
    expect((await refusal(start(world.process()))).code).toBe('metadata_invalid');
    expect(world.shared.held.size + world.shared.entries.size).toBe(0);
    if (metadata) world.issuer.behaviour.metadataAt = metadata;
    else delete world.issuer.behaviour.metadataAt;
    await start(quiet());
  });
});
