import type { Page } from 'playwright-core';
import { until } from '../until.ts';
import { people } from './admin.ts';

/**
 * Goes through glewlwyd's own pages as Alice, to the page at `end`: name and password, a box for each scope that
 * was not granted before, "Grant access", "Continue".
 */
export async function signInThroughPages(page: Page, end: RegExp): Promise<void> {
  await page.locator('#username').fill(people.username);
  await page.locator('#password').fill(people.password);
  await page.locator('#password').press('Enter');
  let granted = false;
  const walked = until('the way back from the pages of glewlwyd', 20_000, async () => {
    if (end.test(page.url())) return true;
    const name = granted ? /^\s*Continue\s*$/ : /^\s*(Grant access|Continue)\s*$/;
    const button = page.locator('button:visible:enabled').filter({ hasText: name }).first();
    const text = await button.innerText({ timeout: 200 }).catch(() => undefined);
    if (text === undefined) return false;
    for (const box of await page.locator('input[id^=grant-]:enabled').all()) {
      await box.check({ timeout: 1_000 }).catch(() => {});
    }
    granted ||= text.trim() === 'Grant access';
    // The page may have moved on by itself.
    await button.click({ timeout: 1_000 }).catch(() => {});
    return false;
  });
  await walked.catch(async (error: Error) => {
    const text = await page.locator('body').innerText();
    throw new Error(`${error.message}; it stopped at ${page.url()}: ${text}`);
  });
}
