import axe from 'axe-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hasChromium, openChromium } from '../support/browser.ts';
import { type Serving, serve } from '../support/serve.ts';
import { threat } from '../support/threats.ts';

let browser: Browser;
let serving: Serving;
beforeAll(async () => {
  if (!hasChromium) return;
  [browser, serving] = await Promise.all([openChromium(), serve()]);
});
afterAll(async () => {
  await Promise.all([browser?.close(), serving?.stop()]);
});

const contexts: BrowserContext[] = [];
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
});

/** The page, and what its console said: what its policy forbids is among it. */
async function open(
  url: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext(options);
  contexts.push(context);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(`${url}/`);
  return { page, complaints };
}

const go = (page: Page) => page.getByRole('button', { name: 'Sign in and see who you are' });

describe.skipIf(!hasChromium)('the page at /', () => {
  test(
    threat('R22', 'a person signs in in the page and sees who they are; no token stays anywhere'),
    async () => {
      const { page, complaints } = await open(serving.origin);
      const tokens: string[] = [];
      page.on('response', async (response) => {
        if (!response.url().endsWith('/token')) return;
        tokens.push(((await response.json()) as { access_token: string }).access_token);
      });
      await go(page).click();
      await page.getByRole('button', { name: /Alice/ }).click();
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByText('You are Alice').waitFor();
      expect(new URL(page.url()).search).toBe('');
      const claims = await page.locator('#claims').innerText();
      expect(claims).toContain('alice@example.com');
      await go(page).and(page.locator(':enabled')).waitFor();
      expect(tokens).toHaveLength(1);
      const [token = ''] = tokens;
      const kept = await page.evaluate<string>(
        'JSON.stringify([document.documentElement.outerHTML, { ...sessionStorage }, { ...localStorage }, document.cookie])',
      );
      expect(kept).not.toContain(token);
      expect(kept).not.toContain('verifier');
      expect(complaints).toEqual([]);
    },
  );

  test('a person who cancels is told so, and may start again', async () => {
    const { page } = await open(serving.origin);
    await go(page).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('You did not sign in.').waitFor();
    expect(new URL(page.url()).search).toBe('');
    await go(page).and(page.locator(':enabled')).waitFor();
  });

  test.each([
    [
      'a code that nobody here asked for',
      'code=evil&state=made-up',
      /did not? begin|not the end of a sign-in/,
    ],
    ['markup in its parameters', 'error=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&state=x', /not the end/],
  ])(threat('R22', '%s does nothing'), async (_, query, told) => {
    const { page, complaints } = await open(`${serving.origin}/?${query}&x=`);
    await page.getByRole('alert').getByText(told).waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test(threat('R22', 'an answer of another issuer is refused'), async () => {
    const { page } = await open(serving.origin);
    await page.route('**/oidc/auth?**', (route) => {
      const asked = new URL(route.request().url()).searchParams;
      const back = new URLSearchParams({
        code: 'c',
        state: asked.get('state') ?? '',
        iss: 'https://evil.test',
      });
      return route.fulfill({ status: 302, headers: { location: `${asked.get('redirect_uri')}?${back}` } });
    });
    await go(page).click();
    await page.getByRole('alert').getByText('is refused').waitFor();
  });

  test.each([
    ['desktop', 1280, 'light'],
    ['desktop', 1280, 'dark'],
    ['phone', 360, 'light'],
    ['phone', 360, 'dark'],
  ] as const)(
    '%s, %i px, %s: nothing that axe objects to, nothing to scroll sideways',
    async (_, width, colorScheme) => {
      const { page, complaints } = await open(serving.origin, {
        viewport: { width, height: 800 },
        colorScheme,
      });
      for (const summary of await page.locator('summary').all()) {
        await summary.click();
        await page.evaluate(axe.source);
        const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      }
      expect(complaints).toEqual([]);
    },
  );

  test('what a client needs is copied by a button', async () => {
    const { page } = await open(serving.origin, { permissions: ['clipboard-read', 'clipboard-write'] });
    await page.locator('summary', { hasText: 'Claude Desktop' }).click();
    await page.getByRole('button', { name: 'Copy: Claude Desktop' }).click();
    const copied = await page.evaluate<string>('navigator.clipboard.readText()');
    expect(JSON.parse(copied)).toEqual({
      mcpServers: { whoami: { command: 'mcp-whoami', args: ['bridge', serving.sse] } },
    });
  });

  test('works with the keyboard alone', async () => {
    const { page } = await open(serving.origin);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /Alice/ }).waitFor();
  });

  test('is not for programs: they get JSON', async () => {
    const answer = await fetch(serving.origin);
    expect(answer.headers.get('vary')).toContain('Accept');
    expect(await answer.json()).toMatchObject({
      endpoints: { sse: serving.sse, streamableHttp: serving.mcp },
    });
  });

  test(
    threat('R22', 'its policy: one script of ours, one style sheet, connections to us and the provider'),
    async () => {
      const answer = await fetch(serving.origin, { headers: { accept: 'text/html' } });
      const policy = answer.headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self';");
      expect(policy).toMatch(/connect-src 'self' http:\/\/127\.0\.0\.1:\d+;/);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
      const html = await answer.text();
      expect(html).not.toMatch(/<[^>]+ on\w+=|style="/);
    },
  );

  test('without authentication it says that it knows nobody', async () => {
    const open_ = await serve(['--no-auth']);
    try {
      const { page } = await open(open_.origin);
      await page.getByRole('button', { name: 'Ask who you are' }).click();
      await page.getByText('The server knows nobody').waitFor();
      expect(await page.locator('#claims').innerText()).toContain('Not authenticated');
    } finally {
      await open_.stop();
    }
  });
});
