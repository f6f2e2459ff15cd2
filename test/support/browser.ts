import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { until } from './until.ts';

const executable = '/usr/bin/chromium';
export const hasChromium = existsSync(executable);

const quiet = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A Chromium that a test drives itself. */
export function openChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: executable, args: quiet.slice(1) });
}

export interface SystemBrowser {
  /** The value of `BROWSER`: the command starts a real Chromium with the URL as its last argument. */
  readonly command: string;
  /** The page that the command under test opened; waits until there is one. */
  page(): Promise<Page>;
  close(): Promise<void>;
}

/** The person's browser: started by the command under test, then clicked by the test. */
export function systemBrowser(): SystemBrowser {
  const profile = mkdtempSync(join(tmpdir(), 'whoami-chromium-'));
  const portFile = join(profile, 'DevToolsActivePort');
  let browser: Browser | undefined;
  return {
    command: [executable, ...quiet, '--remote-debugging-port=0', `--user-data-dir=${profile}`, '%s'].join(
      ' ',
    ),
    async page() {
      const [port] = await until('a browser that was started', 30_000, () =>
        existsSync(portFile) ? readFileSync(portFile, 'utf8').split('\n').filter(Boolean) : undefined,
      );
      browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
      const page = await until('a page in it', 30_000, () =>
        browser
          ?.contexts()[0]
          ?.pages()
          .find((one) => one.url().startsWith('http')),
      );
      await page.waitForLoadState();
      return page;
    },
    async close() {
      if (browser) {
        // Over CDP `close` only disconnects; the browser itself has to be told.
        const session = await browser.newBrowserCDPSession();
        await session.send('Browser.close').catch(() => {});
        await browser.close().catch(() => {});
      }
      // Chromium's processes go on writing for a moment.
      await until('the end of the browser', 10_000, () => {
        try {
          rmSync(profile, { recursive: true, force: true });
          return true;
        } catch {
          return false;
        }
      });
    },
  };
}
