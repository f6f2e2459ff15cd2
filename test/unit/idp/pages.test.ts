import * as oauth from 'openid-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCookieJar } from '../../../src/idp/cookies.ts';
import { headingOf, parseForms } from '../../../src/idp/forms.ts';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { threat } from '../../support/threats.ts';
import { allScopes, openWorld, register, request, resource, type World } from './support.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

/** A browser that goes step by step, so that a test can look at each page. */
function openBrowser() {
  const jar = createCookieJar();
  let here = new URL('about:blank');
  let answer = new Response();
  let html = '';
  let end = '';
  const go = async (url: URL, body?: URLSearchParams): Promise<string> => {
    here = url;
    answer = await fetch(url, {
      redirect: 'manual',
      method: body ? 'POST' : 'GET',
      headers: { accept: 'text/html', ...jar.headers(url.pathname) },
      ...(body ? { body } : {}),
    });
    jar.take(answer.headers.getSetCookie());
    html = await answer.text();
    const location = answer.headers.get('location');
    if (!location) return headingOf(html);
    const next = new URL(location, here);
    if (next.origin === here.origin) return go(next);
    end = next.href;
    return `-> ${next.searchParams.get('error') ?? 'code'}`;
  };
  const press = (name: string, value: string, change: (form: URLSearchParams) => void = () => {}) => {
    const form = parseForms(html)[0];
    if (!form?.buttons.some((button) => button.name === name && button.value === value)) {
      throw new Error(`no button ${name}=${value} on ${headingOf(html)}`);
    }
    const body = new URLSearchParams(form.fields.map(([key, field]): [string, string] => [key, field]));
    body.set(name, value);
    change(body);
    return go(form.action ? new URL(form.action, here) : here, body);
  };
  return {
    go,
    press,
    html: () => html,
    /** Where the last sign-in led to: the redirect URI with its answer. */
    end: () => end,
    status: () => answer.status,
    header: (name: string) => answer.headers.get(name) ?? '',
  };
}

async function start(parameters: Record<string, string> = {}, metadata: Record<string, unknown> = {}) {
  const client = await register(world, metadata);
  const ask = (more: Record<string, string> = {}) =>
    request(client, {
      redirect_uri: world.redirects.uri,
      scope: allScopes,
      resource,
      ...parameters,
      ...more,
    });
  const again = async (more: Record<string, string> = {}) => (await ask(more)).url;
  return { client, ask, again, url: await again() };
}

describe('the sign-in and consent pages', () => {
  it('show who asks, for whom, for what, and where the answer goes', async () => {
    const { url } = await start({}, { client_name: 'Tom & Jerry <b>"' });
    const browser = openBrowser();
    expect(await browser.go(url)).toBe('Choose an account');
    expect(browser.html()).toContain('Tom &#38; Jerry &#60;b&#62;&#34;');
    expect(browser.html()).toContain('alice@example.com');
    expect(browser.html()).toContain('bob@example.com');
    expect(await browser.press('account', 'bob')).toBe('Allow Tom & Jerry <b>" to know who you are?');
    expect(browser.html()).toContain('Bob Cratchit');
    expect(browser.html()).toContain(new URL(world.redirects.uri).host);
    expect(browser.html()).toContain(resource);
    expect(await browser.press('decision', 'allow')).toBe('-> code');
  });

  it(
    threat('R20', 'carry a strict policy that still lets the form lead back to the application'),
    async () => {
      const { url } = await start();
      const browser = openBrowser();
      await browser.go(url);
      const policy = browser.header('content-security-policy');
      const nonce = /style-src 'nonce-([^']+)'/.exec(policy)?.[1] ?? 'none';
      expect(policy).toBe(
        `default-src 'none'; style-src 'nonce-${nonce}'; form-action 'self' ${new URL(world.redirects.uri).origin}; frame-ancestors 'none'; base-uri 'none'`,
      );
      expect(browser.html()).toContain(`<style nonce="${nonce}">`);
      expect(browser.html()).not.toMatch(/<script|https?:\/\/(?!127\.0\.0\.1|localhost)|style="|\bon\w+="/);
      expect(browser.header('x-frame-options')).toBe('DENY');
      expect(browser.header('x-content-type-options')).toBe('nosniff');
      expect(browser.header('referrer-policy')).toBe('no-referrer');
      expect(browser.header('cache-control')).toBe('no-store');
    },
  );

  it('never use a nonce twice', async () => {
    const [one, two] = await Promise.all([fetch(origin()), fetch(origin())]);
    expect(one.headers.get('content-security-policy')).not.toBe(two.headers.get('content-security-policy'));
  });

  it(threat('R20', 'refuse a form without their token, and go on with it'), async () => {
    const { url } = await start();
    const browser = openBrowser();
    await browser.go(url);
    const forged = browser.press('account', 'alice', (form) => form.set('token', 'x'.repeat(43)));
    expect(await forged).toBe('The sign-in cannot go on');
    expect(browser.status()).toBe(403);
    await browser.go(url);
    const missing = browser.press('account', 'alice', (form) => form.delete('token'));
    expect(await missing).toBe('The sign-in cannot go on');
    await browser.go(url);
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);
  });

  it(threat('R20', 'do not answer without the cookie of the sign-in'), async () => {
    const { url } = await start();
    const entry = await fetch(url, { redirect: 'manual' });
    const stranger = openBrowser();
    const heading = await stranger.go(new URL(entry.headers.get('location') ?? '', url));
    expect(heading).toBe('The sign-in cannot go on');
    expect(stranger.status()).toBe(400);
  });

  it('let the person cancel on the first page and deny on the second', async () => {
    const { again } = await start();
    const browser = openBrowser();
    await browser.go(await again());
    expect(await browser.press('decision', 'deny')).toBe('-> access_denied');
    await browser.go(await again());
    await browser.press('account', 'alice');
    expect(await browser.press('decision', 'deny')).toBe('-> access_denied');
  });

  it('ask for the account each time, and for the consent once for a client and a person', async () => {
    const { again } = await start();
    const browser = openBrowser();
    await browser.go(await again());
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);
    expect(await browser.press('decision', 'allow')).toBe('-> code');

    expect(await browser.go(await again())).toBe('Choose an account');
    expect(browser.html()).toContain('Signed in');
    expect(await browser.press('account', 'alice')).toBe('-> code');

    expect(await browser.go(await again({ prompt: 'consent' }))).toBe('Choose an account');
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);

    expect(await browser.go(await again({ prompt: 'select_account' }))).toBe('Choose an account');
    expect(await browser.press('account', 'bob')).toMatch(/^Allow /);

    const { url: another } = await start();
    await browser.go(another);
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);
  });

  it('ask again when the application wants more than before', async () => {
    const { again } = await start({ scope: 'openid' });
    const browser = openBrowser();
    await browser.go(await again());
    await browser.press('account', 'alice');
    expect(await browser.press('decision', 'allow')).toBe('-> code');
    await browser.go(await again({ scope: 'openid email' }));
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);
  });

  it('ask again after the application has signed out', async () => {
    const { client, ask, again } = await start();
    const browser = openBrowser();
    const { url, exchange } = await ask({ prompt: 'consent' });
    await browser.go(url);
    await browser.press('account', 'alice');
    await browser.press('decision', 'allow');
    const tokens = await exchange(browser.end());
    await browser.go(await again());
    await oauth.tokenRevocation(client, tokens.refresh_token ?? '');
    expect(await browser.press('account', 'alice')).toMatch(/^Allow /);
  });

  it('let the person switch to the other account on the consent page', async () => {
    const { url } = await start({ prompt: 'consent login' });
    const browser = openBrowser();
    await browser.go(url);
    await browser.press('account', 'alice');
    expect(await browser.press('decision', 'switch')).toBe('Choose an account');
    expect(await browser.press('account', 'bob')).toMatch(/^Allow /);
    expect(browser.html()).toContain('Bob Cratchit');
    expect(await browser.press('decision', 'allow')).toBe('-> code');
  });

  it('warn when the answer leaves this computer', async () => {
    const { again } = await start(
      {},
      { redirect_uris: [world.redirects.uri, 'https://app.example/callback'] },
    );
    const browser = openBrowser();
    await browser.go(await again({ redirect_uri: 'https://app.example/callback' }));
    expect(browser.header('content-security-policy')).toContain("form-action 'self' https://app.example;");
    await browser.press('account', 'alice');
    expect(browser.html()).toContain('The answer leaves this computer');
    expect(browser.html()).toContain('app.example');
  });
});

const origin = () => new URL(world.provider.issuer).origin;

describe('the other pages', () => {
  it('home says what this is; unknown addresses are 404', async () => {
    expect(await (await fetch(origin())).text()).toContain('Demo authorization server');
    for (const path of ['/nothing', '/oidc/nothing', '/favicon.ico']) {
      const answer = await fetch(origin() + path, { headers: { accept: 'text/html' } });
      expect(answer.status).toBe(404);
      expect(await answer.text()).toContain('There is nothing here');
    }
  });

  it('the visitor says so when there is no way through', async () => {
    const { url } = await start();
    url.searchParams.set('client_id', 'nobody');
    await expect(visitAsDemoUser(url.href, 'alice')).rejects.toMatchObject({
      code: 'sign_in_failed',
      message: expect.stringContaining('This application is not known here'),
    });
  });
});
