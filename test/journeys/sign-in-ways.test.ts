import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { visitAsDemoUser, visitDeviceAsDemoUser } from '../../src/idp/visitor.ts';
import { hasChromium, openChromium } from '../support/browser.ts';
import { command, type Running, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';

let serving: Serving;
let home: Home;
const running: Running[] = [];
beforeAll(async () => {
  serving = await serve();
});
afterAll(() => serving.stop());
beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop('SIGKILL')));
  home.remove();
});

function startLogin(args: readonly string[], env: Record<string, string> = {}): Running {
  const login = start(['login', serving.sse, ...args], { env: { ...home.env, ...env } });
  running.push(login);
  return login;
}

const authorizationUrl = /^https?:\/\/\S+[?&]code_challenge=\S+$/m;

describe('the device flow', () => {
  async function startDeviceLogin(...args: string[]) {
    const login = startLogin(['--device', ...args]);
    const [, url = '', userCode = ''] = await login.printed(/\n(http\S+\/device)\n\n.*\n\n(\S{4}-\S{4})\n/);
    return { login, url, userCode };
  }

  test.skipIf(!hasChromium)(
    'Bob types the code into the pages of the provider, in a real Chromium',
    async () => {
      const { login, url, userCode } = await startDeviceLogin('--json');
      const chromium = await openChromium();
      try {
        const page = await chromium.newPage();
        await page.goto(url);
        await page.getByLabel('Code').fill(userCode.toLowerCase());
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByText(userCode).waitFor();
        await page.getByText('mcp-whoami').first().waitFor();
        await page.getByRole('button', { name: 'Continue' }).click();
        await page.getByRole('button', { name: /Bob/ }).click();
        await page.getByRole('button', { name: 'Allow' }).click();
        await page.getByRole('heading', { name: 'Your device is connected' }).waitFor();
      } finally {
        await chromium.close();
      }
      const { code, stdout, stderr } = await login.finished;
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ url: serving.sse, subject: 'bob', signedIn: true });
      // On a pipe nothing moves.
      expect(stderr).not.toContain('\u001b');
      expect(stderr).not.toContain('left');
      const who = await command(['whoami', '--json'], { env: home.env });
      expect(JSON.parse(who.stdout)).toMatchObject({ sub: 'bob' });
      const index = home.filesWith('"renewable": true');
      expect(index).toHaveLength(1);
      expect((await command(['logout'], { env: home.env })).stdout).toContain('revoked');
    },
  );

  test('denied: exit 1, nothing kept', async () => {
    const { login, url, userCode } = await startDeviceLogin('--profile', 'work');
    await visitDeviceAsDemoUser(`${url}?user_code=${userCode}`, 'alice', { deny: true });
    const { code, stdout, stderr } = await login.finished;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('access_denied');
    expect((await command(['status', '--json'], { env: home.env })).stdout).toContain('"servers": []');
  });

  test('Ctrl-C: 130 within a second', async () => {
    const { login } = await startDeviceLogin();
    expect((await login.stop('SIGINT')).code).toBe(130);
  });
});

describe('without a browser', () => {
  test.each([
    ['an SSH session', { BROWSER: '', DISPLAY: ':0', SSH_CONNECTION: 'a 1 b 22' }, 'this is an SSH session'],
    ['a CI run', { BROWSER: '', CI: 'true' }, 'this is a CI run'],
    ['a container', { BROWSER: '', container: 'podman' }, 'this is a container without a display'],
  ])('%s: the address on a line of its own, why, and the other way', async (_, env, reason) => {
    const login = startLogin([], env);
    const [url] = await login.printed(authorizationUrl);
    await login.printed(/paste its address here\./);
    expect(login.stderr()).toContain(`No browser is opened here: ${reason}.`);
    expect(login.stderr()).toContain(`mcp-whoami login ${serving.sse} --device`);
    login.child.stdin.write(`${await visitAsDemoUser(url, 'alice', { elsewhere: true })}\n`);
    const { code, stderr } = await login.finished;
    expect(code).toBe(0);
    expect(stderr).not.toContain('\u001b');
  });

  test.each([
    ['cannot be started', '/nowhere/browser'],
    ['ends with an error', 'false'],
  ])('a browser that %s: the login goes on, and takes a paste', async (_, BROWSER) => {
    const login = startLogin([], { BROWSER });
    const [url] = await login.printed(authorizationUrl);
    await login.printed(/no browser could be started[\s\S]*paste its address here\./);
    login.child.stdin.write(`<${await visitAsDemoUser(url, 'bob', { elsewhere: true })}>\n`);
    expect((await login.finished).stdout).toContain('Bob');
  });

  test('a browser that takes its time hides no redirect that is faster', async () => {
    const script = join(home.path, 'browser');
    writeFileSync(script, '#!/bin/sh\nsleep 5\n', { mode: 0o755 });
    const login = startLogin([], { BROWSER: script });
    const [url] = await login.printed(authorizationUrl);
    await visitAsDemoUser(url, 'alice');
    const { code, stderr } = await login.finished;
    expect(code).toBe(0);
    expect(stderr).not.toContain('paste');
  });
});
