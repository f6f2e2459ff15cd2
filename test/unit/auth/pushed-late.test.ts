import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AuthorizationRequest } from '../../../src/auth/authorization-request.ts';
import { keepFresh } from '../../../src/auth/pushed-request.ts';
import { createSignIn } from '../../../src/auth/sign-in.ts';
import type { SignInAttempt } from '../../../src/lib/access.ts';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ pushedOnly: true });
});
afterEach(() => world.close());

const pushes = () => world.issuer.at('par');

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

  it.each([1e10, 1e20, Number.MAX_VALUE])(
    threat('C19', 'that is said to be good for %d s is no reason to hurry'),
    async (seconds) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        const [failed, renewed] = [vi.fn(), vi.fn()];
        const pushed = { parameters: {}, lifetimeMs: seconds * 1000, until: seconds * 1000 };
        const request = { pushed, server: {}, client: {} } as unknown as AuthorizationRequest;
        const stop = keepFresh({ reach: {} as never, request, now: () => 0, renewed, failed });
        await vi.advanceTimersByTimeAsync(60_000);
        stop();
        expect(renewed).not.toHaveBeenCalled();
        expect(failed).not.toHaveBeenCalled();
      } finally {
        vi.useRealTimers();
      }
    },
  );

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
