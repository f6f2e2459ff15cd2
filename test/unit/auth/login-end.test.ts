import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { replyJson } from './support/issuer.ts';
import { createWorld, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

describe('how a login ends', () => {
  it(
    threat(
      'L8',
      'takes a pasted redirect; a wrong state, rubbish and another address are refused and not shown',
    ),
    async () => {
      const edges = world.process();
      let show: (url: string) => void = () => {};
      const shown = new Promise<string>((resolve) => {
        show = resolve;
      });
      async function* pasted() {
        const location = await redirectOf(await shown);
        yield 'rubbish';
        yield location.replace(/state=[^&]+/, 'state=wrong-one');
        yield location.replace('/callback', '/elsewhere');
        yield 'x'.repeat(20_000);
        yield `  ${location}  and some trailing text`;
      }
      const signedIn = await world.login(edges, { browser: 'print', onUrl: show, pasted: pasted() });
      expect(signedIn).toMatchObject({ subject: 'alice' });
      expect(edges.opened).toEqual([]);
      const warned = edges.lines.filter((line) => line.includes('paste it once more'));
      expect(warned).toHaveLength(4);
      expect(warned.join()).not.toMatch(/wrong-one|elsewhere|rubbish/);
    },
  );

  it('goes on when the pasted lines end', async () => {
    const edges = world.process();
    async function* nothing() {}
    const signedIn = await world.login(edges, {
      browser: 'print',
      onUrl: (url) => void visit(url),
      pasted: nothing(),
    });
    expect(signedIn).toMatchObject({ subject: 'alice' });
  });

  it('denial: nothing is kept, the page tells', async () => {
    world.issuer.behaviour.authorize = ({ state, iss }) => ({
      error: 'access_denied',
      error_description: 'the user said no',
      state: state ?? '',
      iss: iss ?? '',
    });
    const edges = world.process();
    let page = '';
    edges.browse = async (url) => {
      page = (await visit(url)).body;
    };
    const error = await refusal(world.login(edges));
    expect(error.code).toBe('sign_in_denied');
    expect(error.message).toContain('the user said no');
    await until(() => page.includes('You are not signed in'));
    expect(page).toContain('the user said no');
    expect(world.shared.entries.size + world.shared.index.size + world.shared.held.size).toBe(0);
  });

  it('the page tells of a failed exchange, not of a success', async () => {
    world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_grant' });
    const edges = world.process();
    let page = '';
    edges.browse = async (url) => {
      page = (await visit(url)).body;
    };
    expect((await refusal(world.login(edges))).code).toBe('sign_in_failed');
    await until(() => page !== '');
    expect(page).toContain('You are not signed in');
    expect(page).not.toContain('You are signed in');
  });

  it('ends after its time, with a word on the redirect URI; nothing listens, nothing pending is kept', async () => {
    const edges = world.process();
    edges.browse = async () => {};
    let redirectUri = '';
    const error = await refusal(
      world.login(edges, {
        timeoutMs: 400,
        onUrl: (_url, uri) => {
          redirectUri = uri;
        },
      }),
    );
    expect(error.code).toBe('sign_in_timeout');
    expect(error.hint).toContain('/callback');
    await expect(fetch(redirectUri)).rejects.toThrow();
    expect(world.shared.entries.size + world.shared.held.size).toBe(0);
  });

  it('Ctrl-C while waiting: cancelled at once, nothing is left', async () => {
    const edges = world.process();
    edges.browse = async () => {};
    const stop = new AbortController();
    let redirectUri = '';
    const running = world.login(edges, {
      signal: stop.signal,
      onUrl: (_url, uri) => {
        redirectUri = uri;
      },
    });
    await until(() => redirectUri !== '');
    expect(world.shared.entries.size).toBe(1);
    stop.abort();
    expect((await refusal(running)).code).toBe('cancelled');
    await expect(fetch(redirectUri)).rejects.toThrow();
    expect(world.shared.entries.size + world.shared.held.size).toBe(0);
  });

  it('Ctrl-C while the server is silent: cancelled at once', async () => {
    world.resource.behaviour.before = () => true;
    const stop = new AbortController();
    const running = world.login(world.process(), { signal: stop.signal });
    await until(() => world.resource.seen.length > 0);
    stop.abort();
    expect((await refusal(running)).code).toBe('cancelled');
  });

  it('a keychain that takes nothing is found out before the browser opens', async () => {
    const { AppError } = await import('../../../src/lib/errors.ts');
    world.shared.broken.save = new AppError('keychain_locked', 'locked');
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('keychain_locked');
    expect(edges.opened).toEqual([]);
  });
});

/** Where the authorization server sends the browser, without going there. */
async function redirectOf(url: string): Promise<string> {
  const response = await fetch(url, { redirect: 'manual' });
  return response.headers.get('location') ?? '';
}
