import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { type DemoProvider, openDemoProvider } from '../../../src/idp/provider.ts';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { visit } from './support/http.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

/** The client is forgotten between the authorization page and the exchange of the code, `times` times. */
function forgetAtExchange(times: number): void {
  let exchanges = 0;
  world.issuer.behaviour.token = (form) =>
    form.get('grant_type') === 'authorization_code' && ++exchanges <= times
      ? replyJson(401, { error: 'invalid_client' })
      : undefined;
}
const redirectUris = () => world.issuer.at('authorize').map(({ query }) => query.get('redirect_uri'));
const stored = () => openTokenStore(world.process(), world.settings).load();

describe('a client forgotten during the sign-in', () => {
  it('login: registers anew in the same go, and sends the same browser on', async () => {
    forgetAtExchange(1);
    const edges = world.process();
    let visited: ReturnType<typeof visit> | undefined;
    edges.browse = (url) => {
      visited = visit(url);
      return visited;
    };
    expect(await world.login(edges)).toMatchObject({ subject: 'alice', clientId: 'client-2' });
    const seen = await visited;
    expect(edges.opened).toHaveLength(1);
    expect(world.issuer.at('register')).toHaveLength(2);
    const [first, second] = redirectUris();
    expect(second).toBe(first);
    expect(seen?.body).toContain('You are signed in');
    expect(seen?.path.filter((url) => url.includes('/authorize?'))).toHaveLength(2);
  });

  it('login: the redirect of the second request may be pasted too', async () => {
    forgetAtExchange(1);
    const shown: string[] = [];
    async function* pasted() {
      for (let round = 0; round < 2; round++) {
        await until(() => shown.length > round);
        const answer = await fetch(shown[round] ?? '', { redirect: 'manual' });
        yield answer.headers.get('location') ?? '';
      }
    }
    const onUrl = (url: string) => void shown.push(url);
    const signedIn = await world.login(world.process(), { browser: 'print', onUrl, pasted: pasted() });
    expect(signedIn).toMatchObject({ clientId: 'client-2' });
    expect(new Set(shown.map((url) => new URL(url).searchParams.get('state'))).size).toBe(2);
  });

  it('login: a tab that was closed meanwhile is opened again', async () => {
    const edges = world.process();
    let tab: AbortController | undefined = new AbortController();
    edges.browse = async (url) => {
      if (!tab) return visit(url);
      const signal = tab.signal;
      const answer = await fetch(url, { redirect: 'manual' });
      return fetch(answer.headers.get('location') ?? '', { signal });
    };
    let exchanges = 0;
    world.issuer.behaviour.token = (form) => {
      if (form.get('grant_type') !== 'authorization_code' || ++exchanges > 1) return undefined;
      tab?.abort();
      tab = undefined;
      // What the listener answers after the end of that connection tells that it has seen it.
      const listener = form.get('redirect_uri') ?? '';
      return (response) =>
        void fetch(listener).then(() => replyJson(401, { error: 'invalid_client' })(response));
    };
    expect(await world.login(edges)).toMatchObject({ clientId: 'client-2' });
    expect(edges.opened).toHaveLength(2);
  });

  it('the bridge: goes on by itself in the same window; nothing pending is left', async () => {
    forgetAtExchange(1);
    const edges = world.process();
    const attempt = await createSignIn(edges, world.settings).start('mail');
    const first = attempt.url ?? '';
    await attempt.openBrowser();
    await attempt.completed;
    expect(attempt.url).not.toBe(first);
    expect(edges.opened).toEqual([first]);
    expect(world.issuer.at('authorize')[1]?.query.get('scope')).toBe(
      world.issuer.at('authorize')[0]?.query.get('scope'),
    );
    expect((await stored())?.client.id).toBe('client-2');
    expect(world.shared.held.size).toBe(0);
    expect(world.shared.entries.size).toBe(1);
  });

  it.each(['login', 'the bridge'])('%s: does not loop when every client is forgotten', async (who) => {
    forgetAtExchange(Number.POSITIVE_INFINITY);
    const edges = world.process();
    const begin = async (): Promise<unknown> => {
      if (who === 'login') return world.login(edges);
      const attempt = await createSignIn(edges, world.settings).start();
      await attempt.openBrowser();
      return attempt.completed;
    };
    const error = await refusal(begin());
    expect(error.code).toBe('registration_failed');
    expect(error.hint).toContain('--client-id');
    expect(edges.opened).toHaveLength(1);
    expect(world.issuer.at('register')).toHaveLength(2);
  });
});

describe('a client forgotten since the last sign-in is found out before the browser opens', () => {
  /** Out: what the browser saw at the authorization endpoint, which never redirects for an unknown client. */
  const authorized = (edges: Process) =>
    edges.opened.map((url) => new URL(url).searchParams.get('client_id'));

  it('where the token endpoint says so with 400 and JSON', async () => {
    await world.login(world.process());
    world.issuer.forgetClients();
    world.issuer.behaviour.token = (form) =>
      form.get('client_id') === 'client-1' ? replyJson(400, { error: 'invalid_client' }) : undefined;
    const edges = world.process();
    // The numbers of the ids begin anew, as after a restart.
    world.issuer.behaviour.register = () => replyJson(201, { client_id: 'given' });
    world.issuer.know('given');
    expect(await world.login(edges)).toMatchObject({ clientId: 'given' });
    expect(authorized(edges)).toEqual(['given']);
  });

  it('where the token endpoint looks at the token first, and the authorization endpoint shows a page', async () => {
    await world.login(world.process());
    world.issuer.forgetClients();
    world.issuer.behaviour.token = (form) => (form.has('code') ? undefined : reply(400));
    const edges = world.process();
    world.issuer.behaviour.register = () => replyJson(201, { client_id: 'given' });
    world.issuer.know('given');
    expect(await world.login(edges)).toMatchObject({ clientId: 'given' });
    expect(authorized(edges)).toEqual(['given']);
    const asked = world.issuer.at('authorize').map(({ query }) => query.get('prompt'));
    expect(asked).toEqual(['consent', 'none', 'consent']);
  });

  it('where a secret that has ended would not serve any more', async () => {
    const inAnHour = Math.floor(Date.now() / 1000) + 3600;
    world.issuer.behaviour.register = () =>
      replyJson(201, { client_id: 'given', client_secret: 's', client_secret_expires_at: inAnHour });
    await world.login(world.process());
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(1);
    world.clock.wall += 3_600_000;
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(2);
  });

  it.each([
    ['breaks down', reply(500)],
    ['has no time', reply(429)],
  ])('a token endpoint that %s over the question has told nothing', async (_how, answer) => {
    await world.login(world.process());
    world.issuer.behaviour.token = (form) => (form.has('code') ? undefined : answer);
    expect(await world.login(world.process())).toMatchObject({ clientId: 'client-1' });
    expect(world.issuer.at('register')).toHaveLength(1);
  });

  describe('by a real oidc-provider that was started anew with nothing kept', () => {
    let stateDir: string;
    let provider: DemoProvider;
    const open = async (port: number) => {
      stateDir = await mkdtemp(join(tmpdir(), 'mcp-whoami-idp-'));
      const resources = () => [world.resource.url.href];
      provider = await openDemoProvider({ host: '127.0.0.1', port, stateDir, resources, log: silentLog });
    };
    const close = async () => {
      await provider.close();
      await rm(stateDir, { recursive: true, force: true });
    };
    beforeEach(async () => {
      await open(0);
      world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [provider.issuer] });
    });
    afterEach(() => close());

    it('whose error page at the authorization endpoint never redirects', async () => {
      const browse = (url: string) => visitAsDemoUser(url, 'alice');
      const [before, after] = [world.process(), world.process()];
      Object.assign(before, { browse });
      Object.assign(after, { browse });
      await world.login(before);
      await close();
      await open(Number(new URL(provider.issuer).port));
      const page = await visit(before.opened[0] ?? '');
      expect({ status: page.status, hops: page.path.length }).toEqual({ status: 400, hops: 1 });
      expect(await world.login(after)).toMatchObject({ subject: 'alice' });
      expect(after.opened).toHaveLength(1);
      expect(authorized(after)).not.toEqual(authorized(before));
    });
  });
});
