import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, openChromium } from '../support/browser.ts';
import { start } from '../support/command.ts';
import { type Evil, startEvil } from '../support/evil.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';
import { threat } from '../support/threats.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';
import { type Resource, startResource } from '../unit/auth/support/resource.ts';

const authorizationUrl = /^https?:\/\/\S+[?&]code_challenge=\S+$/m;

let chromium: Browser;
let evil: Evil;
let home: Home;
beforeAll(async () => {
  if (hasChromium) chromium = await openChromium();
});
afterAll(() => chromium?.close());
beforeEach(async () => {
  evil = await startEvil();
  home = makeHome();
});
afterEach(async () => {
  await evil.close();
  home.remove();
});

/** Every way into a page that the field knows, each of which would tell the evil origin. */
const injections = () =>
  [
    '<script>fetch("URL/script")</script>',
    '"><img src="URL/img" onerror="document.title=1">',
    "'><svg onload='document.title=1'>",
    '</title></style></main><style>@import "URL/css";</style>',
    '<base href="URL/"><meta http-equiv="refresh" content="0;url=URL/refresh">',
    '<form action="URL/form"><input autofocus onfocus="document.title=1">',
    '`${document.title=1}`&#60;script&#62;javascript:document.title=1',
  ]
    .join('')
    .replaceAll('URL', evil.origin);

/** A page that notices whatever runs in it. */
async function watchedPage(): Promise<{ page: Page; ran: string[] }> {
  const page = await chromium.newPage();
  const ran: string[] = [];
  page.on('dialog', (dialog) => {
    ran.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // What the policy has to stop has got into the page already.
    if (/Content Security Policy|Refused to/.test(message.text())) ran.push(message.text());
  });
  return { page, ran };
}

async function expectHarmless(page: Page, ran: readonly string[]): Promise<void> {
  expect(ran).toEqual([]);
  expect(
    await page.locator('script, img, iframe, base, form[action^="http"], meta[http-equiv]').count(),
  ).toBe(0);
  expect(evil.caught).toEqual([]);
}

describe.skipIf(!hasChromium)('in a real Chromium', () => {
  describe('the page of the redirect', () => {
    let issuer: Issuer;
    let resource: Resource;
    beforeEach(async () => {
      issuer = await startIssuer();
      resource = await startResource(() => issuer.issuer);
    });
    afterEach(async () => {
      await Promise.all([issuer.close(), resource.close()]);
    });

    async function walk() {
      const login = start(['login', resource.url.href, '--no-browser'], { env: home.env });
      const [url] = await login.printed(authorizationUrl);
      const watched = await watchedPage();
      await watched.page.goto(url);
      const { code } = await login.finished;
      return { ...watched, code };
    }

    test(
      threat(
        'L6',
        'error and error_description of the provider: shown as text, nothing runs, the code is gone',
      ),
      async () => {
        issuer.behaviour.authorize = ({ state = '', iss = '' }) => ({
          state,
          iss,
          error: injections(),
          error_description: injections(),
        });
        const { page, ran, code } = await walk();
        expect(code).toBe(1);
        expect(await page.locator('h1').textContent()).toBe('You are not signed in');
        expect(await page.locator('body').textContent()).toContain('<script>');
        expect(page.url()).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/done$/);
        await expectHarmless(page, ran);
        await page.close();
      },
    );

    test(threat('L6', 'the name in the claims: shown as text, nothing runs, nothing is loaded'), async () => {
      issuer.behaviour.grant = ({ id_token: _, ...answer }) => answer;
      const claims = { sub: 'alice', name: injections() };
      issuer.behaviour.userinfo = () => (response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(claims));
      const { page, ran, code } = await walk();
      expect(code).toBe(0);
      expect(await page.locator('.name').textContent()).toContain('<script>');
      await expectHarmless(page, ran);
      await page.close();
    });
  });

  describe('the demo authorization server', () => {
    let serving: Serving;
    beforeAll(async () => {
      serving = await serve();
    });
    afterAll(() => serving.stop());

    test(
      threat('R20', 'the name and the addresses of a hostile client: shown as text on every page'),
      async () => {
        const metadata = await fetch(`${serving.origin}/.well-known/oauth-protected-resource/sse`);
        const { authorization_servers: [issuer = ''] = [] } = (await metadata.json()) as {
          authorization_servers?: string[];
        };
        const registered = await fetch(`${issuer}/reg`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            client_name: injections(),
            redirect_uris: [`http://127.0.0.1:${evil.port}/back`],
            token_endpoint_auth_method: 'none',
          }),
        });
        const { client_id: id } = (await registered.json()) as { client_id: string };
        const parameters = new URLSearchParams({
          client_id: id,
          response_type: 'code',
          scope: 'openid profile',
          redirect_uri: `http://127.0.0.1:${evil.port}/back`,
          resource: serving.sse,
          code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
          code_challenge_method: 'S256',
          state: 'x',
        });
        const { page, ran } = await watchedPage();
        await page.goto(`${issuer}/auth?${parameters}`);
        expect(await page.locator('body').textContent()).toContain('<script>');
        await expectHarmless(page, ran);
        await page.getByRole('button', { name: /Alice/ }).click();
        await page.getByRole('button', { name: /Allow/ }).waitFor();
        expect(await page.locator('body').textContent()).toContain('<script>');
        await expectHarmless(page, ran);
        await page.close();
      },
    );
  });
});
