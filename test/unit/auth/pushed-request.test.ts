import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { keepFresh } from '../../../src/auth/pushed-request.ts';
import type { AuthorizationRequest } from '../../../src/auth/authorization-request.ts';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import type { SignInAttempt } from '../../../src/lib/access.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { listen, visit } from './support/http.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ pushedOnly: true });
});
afterEach(() => world.close());

const pushes = () => world.issuer.at('par');
const asked = (edges: Process) => [...new URL(edges.opened[0] ?? '').searchParams.keys()].sort();

describe('when a request is pushed', () => {
  it('demanded by the metadata: the browser carries nothing but the name of the request', async () => {
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(asked(edges)).toEqual(['client_id', 'request_uri']);
    const form = pushes()[0]?.form;
    expect(Object.fromEntries(form ?? [])).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      resource: world.resource.url.href,
      scope: 'openid profile offline_access',
      client_id: 'client-1',
    });
    expect(form?.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    for (const name of ['state', 'nonce', 'code_challenge']) expect(form?.get(name)).toMatch(/^[\w-]{43}$/);
  });

  it('merely offered: it is not', async () => {
    world.issuer.behaviour.pushedOnly = false;
    const edges = world.process();
    await world.login(edges);
    expect(pushes()).toEqual([]);
    expect(asked(edges)).toContain('code_challenge');
  });

  it('demanded by the registration: it is, also when the registration is used again', async () => {
    world.issuer.behaviour.pushedOnly = false;
    world.issuer.behaviour.registered = { require_pushed_authorization_requests: true };
    await world.login(world.process());
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(1);
    expect(pushes()).toHaveLength(2);
  });

  it('demanded by metadata without an endpoint for it: refused, no browser', async () => {
    world.issuer.behaviour.metadata = ({ pushed_authorization_request_endpoint: _, ...rest }) => rest;
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(edges.opened).toEqual([]);
  });

  it.each(['http://attacker.test/par', 'https://169.254.169.254/par'])(
    threat(['C7', 'C8'], 'pushing to %s is refused'),
    async (endpoint) => {
      world.issuer.behaviour.metadata = (honest) => ({
        ...honest,
        pushed_authorization_request_endpoint: endpoint,
      });
      const edges = world.process();
      expect((await refusal(world.login(edges))).code).toBe('insecure_url');
      expect(edges.opened).toEqual([]);
    },
  );

  it.each([
    ['client_secret_basic', /^Basic /, null],
    ['client_secret_post', undefined, 'S3cret'],
  ])('the client proves itself as at the token endpoint: %s', async (method, header, secret) => {
    world.issuer.behaviour.metadata = (honest) => ({
      ...honest,
      token_endpoint_auth_methods_supported: [method],
    });
    const given = { clientId: 'given', clientSecret: new Secret('S3cret') };
    await world.login(world.process(), {}, given);
    const { headers, form } = pushes()[0] ?? {};
    if (header) expect(headers?.authorization).toMatch(header);
    expect(form?.get('client_secret')).toBe(secret);
  });
});

describe('a push that is refused', () => {
  it.each([
    ['invalid_target', replyJson(400, { error: 'invalid_target' }), 'invalid_target', '--resource none'],
    ['invalid_scope', replyJson(400, { error: 'invalid_scope' }), 'sign_in_failed', '--scope'],
    ['a page with status 400', reply(400, '<h1>no</h1>'), 'sign_in_failed', '--client-id'],
    ['status 503', reply(503), 'issuer_unreachable', 'try again later'],
    ['a page with status 201', reply(201, '<h1>ok</h1>'), 'issuer_unreachable', 'try again later'],
    ['no lifetime', replyJson(201, { request_uri: 'urn:x' }), 'sign_in_failed', 'operator'],
    [
      'an address of 10,000 characters',
      replyJson(201, { request_uri: 'x'.repeat(10_000), expires_in: 9 }),
      'metadata_invalid',
      '--scope',
    ],
  ])('%s: no browser opens', async (_what, answer, code, hint) => {
    world.issuer.behaviour.push = () => answer;
    const edges = world.process();
    const error = await refusal(world.login(edges));
    expect(error.code).toBe(code);
    expect(error.hint).toContain(hint);
    expect(edges.opened).toEqual([]);
  });

  it(threat('C9', 'a redirect of a push carries nothing to another origin'), async () => {
    const reached: string[] = [];
    const evil = world.keep(
      await listen((request, response) => {
        reached.push(request.url ?? '');
        response.writeHead(201).end();
      }),
    );
    world.issuer.behaviour.push = () => reply(307, '', { location: `${evil.origin}/par` });
    expect((await refusal(world.login(world.process()))).code).toBe('remote_error');
    expect(reached).toEqual([]);
  });

  it(threat('S3', 'a provider that echoes the secret in its refusal of a push'), async () => {
    world.issuer.behaviour.push = (form) =>
      replyJson(400, { error: 'x', error_description: `no ${form.get('client_secret')}` });
    world.issuer.behaviour.metadata = (honest) => ({
      ...honest,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    const given = { clientId: 'given', clientSecret: new Secret('S3cret') };
    const error = await refusal(world.login(world.process(), {}, given));
    expect(error.message).toContain('[redacted]');
    expect(error.message).not.toContain('S3cret');
  });

  it('a forgotten client is registered anew in the same go, and once only', async () => {
    await world.login(world.process());
    world.issuer.forgetClients();
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.opened).toHaveLength(1);
    world.issuer.behaviour.push = () => replyJson(401, { error: 'invalid_client' });
    world.issuer.seen.length = 0;
    expect((await refusal(world.login(world.process()))).code).toBe('registration_failed');
    expect(world.issuer.at('register')).toHaveLength(1);
    expect(pushes()).toHaveLength(2);
  });
});

describe('an address that has run out', () => {
  const pass = (ms: number) => {
    world.clock.wall += ms;
    world.issuer.pushed.runOut();
  };
  const attempts: SignInAttempt[] = [];
  const start = async (edges: Process) => {
    const attempt = await createSignIn(edges, world.settings).start();
    attempts.push(attempt);
    return attempt;
  };
  afterEach(async () => {
    for (const attempt of attempts.splice(0)) {
      attempt.cancel();
      await attempt.completed.catch(() => {});
    }
  });
  const quiet = () => {
    const edges = world.process();
    edges.browse = async () => {};
    return edges;
  };

  it('is replaced before the browser opens', async () => {
    const edges = world.process();
    const attempt = await start(edges);
    const { url } = attempt;
    pass(61_000);
    await attempt.openBrowser();
    await attempt.completed;
    expect(pushes()).toHaveLength(2);
    expect(edges.opened).toEqual([attempt.url]);
    expect(attempt.url).not.toBe(url);
  });

  it('of a process that is gone, is replaced by the one that takes over', async () => {
    const first = quiet();
    const one = await start(first);
    one.leave?.();
    await refusal(one.completed);
    pass(61_000);
    const second = world.process();
    const two = await start(second);
    await two.openBrowser();
    await two.completed;
    const [before, after] = pushes().map(({ form }) => Object.fromEntries(form));
    expect(after).toEqual(before);
    expect(world.issuer.at('register')).toHaveLength(1);
  });

  it('that a person has opened in time is left alone', async () => {
    const first = quiet();
    const one = await start(first);
    await one.openBrowser();
    one.leave?.();
    await refusal(one.completed);
    pass(61_000);
    const two = await start(quiet());
    expect(await two.openBrowser()).toBe(true);
    expect(pushes()).toHaveLength(1);
  });

  it('is replaced in the terminal while somebody may still come', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const shown: string[] = [];
      const login = world.login(world.process(), {
        browser: 'print',
        onUrl: (url) => void shown.push(url),
        onRenewedUrl: (url) => void shown.push(url),
        timeoutMs: 300_000,
      });
      await vi.waitFor(() => expect(shown).toHaveLength(1));
      pass(61_000);
      await vi.advanceTimersByTimeAsync(56_000);
      vi.useRealTimers();
      await until(() => shown.length === 2);
      expect((await visit(shown[0] ?? '')).body).toContain('request_uri is invalid');
      await visit(shown[1] ?? '');
      expect(await login).toMatchObject({ subject: 'alice' });
    } finally {
      vi.useRealTimers();
    }
  });

  it('nobody came: the error says how soon the page has to be opened', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const attempt = await start(quiet());
      const outcome = refusal(attempt.completed);
      await vi.advanceTimersByTimeAsync(300_000);
      vi.useRealTimers();
      const error = await outcome;
      expect(error.code).toBe('sign_in_timeout');
      expect(error.hint).toContain('within 60 s');
    } finally {
      vi.useRealTimers();
    }
  });

  it('is asked for again no sooner than after 10 s, also when that fails, and never behind the end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const [failed, renewed] = [vi.fn(), vi.fn()];
      const pushed = { parameters: {}, lifetimeMs: 1, until: 0 };
      const request = { pushed, server: {}, client: {} } as unknown as AuthorizationRequest;
      const stop = keepFresh({ reach: {} as never, request, now: () => 1_000, renewed, failed });
      await vi.advanceTimersByTimeAsync(9_999);
      expect(failed).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(1));
      await vi.advanceTimersByTimeAsync(10_000);
      await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(2));
      stop();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(failed).toHaveBeenCalledTimes(2);
      expect(renewed).not.toHaveBeenCalled();
    } finally {
      vi.useRealTimers();
    }
  });
});
