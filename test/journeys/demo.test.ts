import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, systemBrowser } from '../support/browser.ts';
import { command, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';

let home: Home;
beforeEach(() => {
  home = makeHome({ BROWSER: '', MCP_WHOAMI_STORE: '' });
});
afterEach(() => home.remove());

test('a bare machine: no display, no keychain, one command, Alice', async () => {
  const { code, stdout, stderr } = await command(['demo'], { env: home.env });
  // In a container the reason says so.
  expect(stderr).toMatch(/over HTTP as Alice \((there is no|this is a container without a) display\)/);
  expect(stderr).toMatch(/encrypted file/);
  expect(code).toBe(0);
  for (const hop of [
    'authorization server',
    'protected server',
    'sign-in',
    'tokens kept',
    'stdio bridge',
    'whoami',
    'sign-out',
  ]) {
    expect(stderr).toContain(`✓ ${hop}`);
  }
  expect(stdout).toMatch(/sub\s+alice/);
  expect(stdout).toMatch(/iss\s+http:\/\/127\.0\.0\.1:\d+\/oidc/);
  expect(stdout).toContain('"mcpServers"');
  const status = await command(['status', '--json'], { env: home.env });
  expect(JSON.parse(status.stdout)).toEqual({ servers: [] });
});

test('--json prints the steps and the claims as one document', async () => {
  const { code, stdout } = await command(['demo', '--json', '--no-browser'], { env: home.env });
  expect(code).toBe(0);
  const { steps, claims } = JSON.parse(stdout) as {
    steps: { name: string; ok: boolean; ms: number }[];
    claims: object;
  };
  expect(steps.every((step) => step.ok && step.ms >= 0)).toBe(true);
  expect(claims).toMatchObject({ sub: 'alice' });
});

test('taken ports: others are picked, and it says so', async () => {
  const first = start(['demo', '--keep', '--no-browser'], { env: home.env });
  await first.printed(/Ctrl-C ends it/);
  const other = makeHome({ BROWSER: '', MCP_WHOAMI_STORE: '' });
  try {
    const second = await command(['demo'], { env: other.env });
    expect(second.code).toBe(0);
    expect(second.stderr).toContain('ports 3001 and 3002 are taken');
  } finally {
    other.remove();
    expect((await first.stop('SIGINT')).code).toBe(130);
  }
});

describe.skipIf(!hasChromium)('with a browser', () => {
  test("a person's clicks in a real Chromium", async () => {
    const browser = systemBrowser();
    const demo = start(['demo'], { env: { ...home.env, BROWSER: browser.command } });
    try {
      const page = await browser.page();
      await page.getByRole('button', { name: /Bob/ }).click();
      await page.getByRole('button', { name: /Allow/ }).click();
      await page
        .getByText(/signed in/i)
        .first()
        .waitFor();
      const { code, stdout, stderr } = await demo.finished;
      expect(stderr).toContain('through the browser');
      expect(code).toBe(0);
      expect(stdout).toMatch(/sub\s+bob/);
    } finally {
      await demo.stop('SIGKILL');
      await browser.close();
    }
  });
});
