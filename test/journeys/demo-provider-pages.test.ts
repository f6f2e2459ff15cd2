import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { initiateDeviceAuthorization, pollDeviceAuthorizationGrant } from 'openid-client';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openChromium } from '../support/browser.ts';
import { threat } from '../support/threats.ts';
import {
  allScopes,
  listenForRedirects,
  openWorld,
  register,
  request,
  resource,
  type World,
} from '../unit/idp/support.ts';

let world: World;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];
beforeAll(async () => {
  [world, browser] = await Promise.all([openWorld(), openChromium()]);
});
afterAll(async () => {
  await browser?.close();
  await world?.close();
});
beforeEach(async () => {
  context = await browser.newContext();
  page = await context.newPage();
  complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
});
afterEach(() => context.close());

async function begin(redirectUri = world.redirects.uri) {
  const client = await register(world, { redirect_uris: [redirectUri] });
  return request(client, { redirect_uri: redirectUri, scope: allScopes, prompt: 'consent', resource });
}

describe('the demo authorization server in Chromium', () => {
  it('signs Alice in by two clicks and leads back to the application', async () => {
    const { url, exchange } = await begin();
    await page.goto(url.href);
    await page.getByRole('button', { name: /Alice Liddell/ }).click();
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.getByRole('heading', { name: 'Back in the application' }).waitFor();
    expect((await exchange(page.url())).claims()).toMatchObject({ sub: 'alice', name: 'Alice Liddell' });
    expect(complaints.filter((text) => !text.includes('favicon'))).toEqual([]);
  });

  it('leads back to an IPv6 loopback address, which the policy has no word for', async () => {
    const redirects = await listenForRedirects('/callback', '::1');
    const { url, exchange } = await begin(redirects.uri);
    await page.goto(url.href);
    await page.getByRole('button', { name: /Bob/ }).click();
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.getByRole('heading', { name: 'Back in the application' }).waitFor();
    expect((await exchange(page.url())).claims()?.sub).toBe('bob');
    await redirects.close();
  });

  it('can be used with the keyboard alone, and switches between the people', async () => {
    const { url, exchange } = await begin();
    await page.goto(url.href);
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByText('Alice Liddell').first().waitFor();
    await page.getByRole('button', { name: 'Use another account' }).click();
    await page.getByText('Signed in').waitFor();
    await page.getByRole('button', { name: /Bob/ }).click();
    await page.getByRole('button', { name: 'Allow' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Back in the application' }).waitFor();
    expect((await exchange(page.url())).claims()?.sub).toBe('bob');
  });

  it('tells the application when the person denies', async () => {
    const { url } = await begin();
    await page.goto(url.href);
    await page.getByRole('button', { name: /Alice/ }).click();
    await page.getByRole('button', { name: 'Deny' }).click();
    await page.waitForURL(/error=access_denied/);
  });

  it('works without scripts, and goes through the device flow', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const tab = await plain.newPage();
    const client = await register(world);
    const device = await initiateDeviceAuthorization(client, { scope: allScopes, resource });
    await tab.goto(device.verification_uri);
    await tab.getByLabel('Code').fill(device.user_code.toLowerCase().replace('-', ' '));
    await tab.getByRole('button', { name: 'Continue' }).click();
    await tab.getByText(device.user_code).waitFor();
    await tab.getByRole('button', { name: 'Continue' }).click();
    await tab.getByRole('button', { name: /Bob/ }).click();
    await tab.getByRole('button', { name: 'Allow' }).click();
    await tab.getByRole('heading', { name: 'Your device is connected' }).waitFor();
    const tokens = await pollDeviceAuthorizationGrant(client, { ...device, interval: 0.01 });
    expect(tokens.claims()?.sub).toBe('bob');
    await plain.close();
  });

  it(threat('R20', 'is not shown inside the page of somebody else'), async () => {
    const { url } = await begin();
    const evil = createServer((_req, res) => {
      res.setHeader('content-type', 'text/html');
      res.end(`<iframe src="${url.href.replaceAll('&', '&amp;')}"></iframe>`);
    });
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', () => resolve()));
    await page.goto(`http://127.0.0.1:${(evil.address() as AddressInfo).port}/`);
    await expect
      .poll(() => complaints.join('\n'), { timeout: 20_000 })
      .toMatch(/frame-ancestors|X-Frame-Options/i);
    const framed = page.frames()[1];
    expect(await framed?.getByText('Choose an account').count()).toBe(0);
    evil.closeAllConnections();
    await new Promise((resolve) => evil.close(resolve));
  });
});
