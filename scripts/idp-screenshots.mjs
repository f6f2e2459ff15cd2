// Takes the pictures of the demo authorization server's pages, from the real pages in a real Chromium.
//   node scripts/idp-screenshots.mjs            the pictures that the documentation keeps, into docs/images
//   node scripts/idp-screenshots.mjs FOLDER     all of them, light and dark
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { openChromium } from './open-chromium.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2] ?? join(root, 'docs', 'images');
const kept = process.argv[2] ? /./ : /^(?:sign-in|consent|device|error)-\w+$|^sign-in-\w+-dark$/;
const work = await mkdtemp(join(tmpdir(), 'whoami-pictures-'));
const sizes = { desktop: { width: 1280, height: 800 }, mobile: { width: 360, height: 740 } };
const redirectUri = 'http://127.0.0.1:53211/callback';

const { openDemoProvider } = await loadProvider();
const { silentLog } = await import(pathToFileURL(join(work, 'log.mjs')).href);
const provider = await openDemoProvider({
  host: '127.0.0.1',
  port: 3002,
  stateDir: join(work, 'state'),
  resources: () => ['http://127.0.0.1:3001/sse'],
  log: silentLog,
});
const browser = await openChromium();
try {
  await mkdir(folder, { recursive: true });
  for (const [size, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) await takeAll(size, viewport, colorScheme);
  }
} finally {
  await browser.close();
  await provider.close();
  await rm(work, { recursive: true, force: true });
}

async function takeAll(size, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 2 });
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => problems.push(message.text()));
  page.on('pageerror', (error) => problems.push(error.message));
  const suffix = colorScheme === 'dark' ? '-dark' : '';
  const take = async (name) => {
    if (!kept.test(`${name}-${size}${suffix}`)) return;
    const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
    if (scrollWidth > clientWidth) throw new Error(`${name} is wider than ${size}`);
    await page.mouse.move(0, 0);
    await page.screenshot({ path: join(folder, `${name}-${size}${suffix}.png`), fullPage: true });
  };
  await page.goto(await authorizationUrl());
  await take('sign-in');
  await page.getByRole('button', { name: /Alice/ }).click();
  await take('consent');
  const { verification_uri_complete: deviceUrl } = await deviceCode();
  await page.goto(deviceUrl);
  await take('device');
  await page.getByRole('button', { name: 'Continue' }).click();
  await take('device-confirm');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: /Alice/ }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await take('device-done');
  await page.goto(`${provider.issuer}/device?user_code=BBBB-CCCC`);
  await page.getByRole('button', { name: 'Continue' }).click();
  await take('device-problem');
  await page.goto((await authorizationUrl()).replace('53211%2Fcallback', '53211%2Felsewhere'));
  await take('error');
  await page.goto(new URL('/', provider.issuer).href);
  await take('home');
  await context.close();
  const unexpected = problems.filter((text) => !/status of 4\d\d/.test(text));
  if (unexpected.length > 0) throw new Error(`the pages complain: ${unexpected.join('\n')}`);
}

async function authorizationUrl() {
  const url = new URL(`${provider.issuer}/auth`);
  url.search = new URLSearchParams({
    client_id: (await client()).client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid profile email offline_access',
    prompt: 'consent',
    resource: 'http://127.0.0.1:3001/sse',
    state: 'a-state',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
  }).toString();
  return url.href;
}

async function client() {
  const answer = await fetch(`${provider.issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'mcp-whoami',
      redirect_uris: [redirectUri],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    }),
  });
  return answer.json();
}

async function deviceCode() {
  const answer = await fetch(`${provider.issuer}/device/auth`, {
    method: 'POST',
    body: new URLSearchParams({ client_id: (await client()).client_id, scope: 'openid profile email' }),
  });
  return answer.json();
}

/** The sources are TypeScript: bundled into the work folder first. */
async function loadProvider() {
  await build({
    absWorkingDir: root,
    entryPoints: { provider: 'src/idp/provider.ts', log: 'src/lib/log.ts' },
    outdir: work,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    keepNames: true,
    banner: {
      js: "import{createRequire as makeRequire}from'node:module';const require=makeRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  return import(pathToFileURL(join(work, 'provider.mjs')).href);
}
