import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { threat } from '../../support/threats.ts';
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
const form = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };

describe('a refresh that is refused for good', () => {
  it.each([
    ['invalid_grant', replyJson(400, { error: 'invalid_grant' })],
    ['a 400 with an empty body', reply(400)],
    ['a 401 with a page', reply(401, '<h1>no</h1>', { 'content-type': 'text/html' })],
    ['invalid_client', replyJson(401, { error: 'invalid_client' })],
    ["GitHub's word for it, with status 200", replyJson(200, { error: 'bad_refresh_token' })],
    ['the same in form encoding', reply(200, 'error=bad_refresh_token&error_description=gone', form)],
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

  it('an answer in form encoding is an answer', async () => {
    const answer = 'access_token=at-form&token_type=bearer&scope=repo&expires_in=60&refresh_token=r2';
    world.issuer.behaviour.token = () => reply(200, answer, form);
    const one = session();
    expect((await one.renew(await one.current())).reveal()).toBe('at-form');
    expect(await stored()).toMatchObject({ scope: 'repo', lifetimeMs: 60_000 });
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

  it(threat('C9', 'a redirect of the token endpoint is not followed'), async () => {
    world.issuer.behaviour.token = () => reply(307, '', { location: `${world.resource.origin}/evil` });
    const one = session();
    expect((await refusal(one.renew(await one.current()))).code).toBe('remote_error');
    expect(world.resource.seen).not.toContain('POST /evil');
  });
});
