// Takes the pictures of the server's own page in a real Chromium, before and after a sign-in at the demo provider.
//   node scripts/page-screenshots.mjs [FOLDER]       default: docs/images; `npm run build` first
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openChromium } from './open-chromium.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2] ?? join(root, 'docs', 'images');
const sizes = { desktop: { width: 1280, height: 900 }, mobile: { width: 360, height: 740 } };

const home = await mkdtemp(join(tmpdir(), 'whoami-pictures-'));
const server = spawn(process.execPath, [join(root, 'bin/mcp-whoami.js'), 'serve', '--port', '0'], {
  env: { PATH: process.env.PATH, HOME: home, MCP_WHOAMI_CONFIG_DIR: home },
  stdio: ['ignore', 'ignore', 'pipe'],
});
const origin = await new Promise((resolve) => {
  let said = '';
  server.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
    const found = /whoami server at (http:\/\/localhost:\d+)\/sse/.exec(said)?.[1];
    if (found && said.includes('verified by')) resolve(found);
  });
});
const browser = await openChromium();
try {
  await mkdir(folder, { recursive: true });
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: 1 });
      const name = `page-${size}${colorScheme === 'dark' ? '-dark' : ''}.png`;
      await page.goto(`${origin}/`);
      await page.getByRole('button', { name: 'Sign in and see who you are' }).click();
      await page.getByRole('button', { name: /Alice/ }).click();
      await page.getByRole('button', { name: 'Allow' }).click();
      await page.getByText('You are Alice').waitFor();
      await page.locator('summary', { hasText: 'Claude Code' }).click();
      await page.mouse.move(0, 0);
      await page.screenshot({ path: join(folder, name), fullPage: true });
      await page.close();
    }
  }
} finally {
  await browser.close();
  server.kill('SIGINT');
  await new Promise((resolve) => server.once('exit', resolve));
  await rm(home, { recursive: true, force: true });
}
