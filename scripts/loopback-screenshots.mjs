// Takes the pictures of the page at the end of a sign-in, from the real loopback listener in a real Chromium.
//   node scripts/loopback-screenshots.mjs            the pictures that the documentation keeps, into docs/images
//   node scripts/loopback-screenshots.mjs FOLDER     every page, light and dark
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { openChromium } from './open-chromium.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2] ?? join(root, 'docs', 'images');
const kept = process.argv[2] ? /./ : /^done-(?:desktop|mobile)$/;
const sizes = { desktop: { width: 1280, height: 800 }, mobile: { width: 360, height: 740 } };
const state = 'state-of-the-picture'.padEnd(43, '-');
const resource = 'https://mcp.example.com/mcp';
const outcomes = {
  done: { signedIn: true, name: 'Alice Liddell', server: 'http://127.0.0.1:3001/sse' },
  'done-long': {
    signedIn: true,
    name: 'Maximiliane-Alexandra von Hohenlohe-Schillingsfürst',
    server: 'https://mcp.a-very-long-host-name.example-corporation.com/tenants/12345678/mcp',
  },
  'done-instead': {
    signedIn: true,
    name: 'Alice Liddell',
    server: 'http://127.0.0.1:3001/sse',
    profile: 'work',
    instead: 'Bob Cratchit',
  },
  'done-nameless': { signedIn: true, name: undefined, server: resource },
  failed: {
    signedIn: false,
    message: `https://auth.example.com/oidc does not know the resource ${resource}`,
    hint: `register ${resource} as an API resource at the provider, or sign in with --resource none`,
  },
  'not-here': undefined,
};

const work = await mkdtemp(join(tmpdir(), 'whoami-pictures-'));
const outfile = join(work, 'loopback.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['src/auth/redirect/loopback.ts'],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  logLevel: 'error',
});
const { openLoopback } = await import(pathToFileURL(outfile).href);
const browser = await openChromium();
try {
  await mkdir(folder, { recursive: true });
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) await takeAll(size, viewport, colorScheme);
  }
} finally {
  await browser.close();
  await rm(work, { recursive: true, force: true });
}

async function takeAll(size, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 2 });
  for (const [name, outcome] of Object.entries(outcomes)) {
    const file = `${name}-${size}${colorScheme === 'dark' ? '-dark' : ''}`;
    if (!kept.test(file)) continue;
    const loopback = await openLoopback({ host: '127.0.0.1', port: 0, state });
    const page = await context.newPage();
    if (outcome) {
      const arrival = page.goto(`${loopback.redirectUri}?code=x&state=${state}`);
      await loopback.redirect;
      await Promise.all([loopback.finish(outcome), arrival]);
    } else await page.goto(loopback.redirectUri);
    const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
    if (scrollWidth > clientWidth) throw new Error(`${name} is wider than ${size}`);
    await page.screenshot({ path: join(folder, `${file}.png`), fullPage: true });
    await page.close();
    await loopback.close();
  }
  await context.close();
}
