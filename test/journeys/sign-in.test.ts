import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { hasChromium, openChromium, systemBrowser } from '../support/browser.ts';
import { command, type Running, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';
import { threat } from '../support/threats.ts';

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

const authorizationUrl = /^https?:\/\/\S+[?&]code_challenge=\S+$/m;

async function startLogin(...args: string[]) {
  const login = start(['login', serving.sse, '--no-browser', ...args], { env: home.env });
  running.push(login);
  const [url] = await login.printed(authorizationUrl);
  const redirectUri = new URL(url).searchParams.get('redirect_uri') ?? '';
  return { login, url, redirectUri, state: new URL(url).searchParams.get('state') ?? '' };
}

describe('login, status, logout', () => {
  test('the whole life of a sign-in', async () => {
    const login = await signIn(serving.sse, home.env, ['--json']);
    expect(login.code).toBe(0);
    expect(JSON.parse(login.stdout)).toMatchObject({
      url: serving.sse,
      profile: 'default',
      signedIn: true,
      subject: 'alice',
      scopes: expect.arrayContaining(['openid', 'profile', 'email']),
      store: 'file',
    });
    const status = await command(['status'], { env: home.env });
    expect(status.code).toBe(0);
    expect(status.stdout).toContain(serving.sse);
    expect(status.stdout).toMatch(/signed in as .*alice/);
    // The first server signed in to is the default one.
    const who = await command(['whoami'], { env: home.env });
    expect(who.stdout).toMatch(/email\s+alice@example\.com/);
    const logout = await command(['logout'], { env: home.env });
    expect({ code: logout.code, revoked: logout.stdout.includes('revoked') }).toEqual({
      code: 0,
      revoked: true,
    });
    expect((await command(['status', serving.sse], { env: home.env })).code).toBe(3);
    const after = await command(['whoami', serving.sse, '--json'], { env: home.env });
    expect(after.code).toBe(3);
    expect(after.stderr).toContain(`mcp-whoami login ${serving.sse}`);
  });

  test('two profiles are two accounts', async () => {
    await signIn(serving.sse, home.env, [], 'alice');
    await signIn(serving.sse, home.env, ['--profile', 'work'], 'bob');
    const whoami = async (...args: string[]) =>
      JSON.parse((await command(['whoami', serving.sse, '--json', ...args], { env: home.env })).stdout) as {
        sub: string;
      };
    expect((await whoami()).sub).toBe('alice');
    expect((await whoami('--profile', 'work')).sub).toBe('bob');
    const status = JSON.parse((await command(['status', '--json'], { env: home.env })).stdout) as {
      servers: unknown[];
    };
    expect(status.servers).toHaveLength(2);
    expect((await command(['logout', '--all'], { env: home.env })).code).toBe(0);
    expect((await command(['status'], { env: home.env })).code).toBe(3);
  });

  test(threat(['S1', 'S3'], 'no token is in any file, output, argument list or error'), async () => {
    const { login, url } = await startLogin('--log-level', 'debug');
    const tokens: string[] = [];
    await visitAsDemoUser(url, 'alice');
    const finished = await login.finished;
    const printed = [finished];
    for (const args of [['status'], ['whoami'], ['status', '--json'], ['logout']]) {
      printed.push(await command([...args, '--log-level', 'debug'], { env: home.env }));
    }
    for (const { stdout, stderr } of printed) {
      tokens.push(...((stdout + stderr).match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? []));
      expect(stdout + stderr).not.toMatch(/access_token|refresh_token=|code=[\w-]{20}/);
    }
    expect(tokens).toEqual([]);
    expect(home.filesWith('eyJ')).toEqual([]);
  });
});

describe('a request to the loopback address that is not the redirect never ends the sign-in', () => {
  test(
    threat(
      'L1',
      'wrong state, no state, forged denial, other path, other method: then the honest one succeeds',
    ),
    async () => {
      const { login, url, redirectUri, state } = await startLogin();
      const forged: [string, RequestInit?][] = [
        [`${redirectUri}?code=evil&state=wrong`],
        [`${redirectUri}?code=evil`],
        [`${redirectUri}?error=access_denied&state=wrong`],
        [`${redirectUri}?error=access_denied`],
        [`${redirectUri}?code=a&code=b&state=${state}`],
        [new URL('/favicon.ico', redirectUri).href],
        [`${redirectUri}?code=evil&state=${state}`, { method: 'POST' }],
        [`${redirectUri}?state=${state.slice(0, -1)}&code=evil`],
      ];
      for (const [address, init] of forged) {
        const answer = await fetch(address, { redirect: 'manual', ...init });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(await answer.text()).not.toMatch(/signed in/i);
      }
      await visitAsDemoUser(url, 'alice');
      expect((await login.finished).code).toBe(0);
    },
  );

  test(threat('L7', 'a code that the provider never gave is exchanged once and told honestly'), async () => {
    const { login, redirectUri, state, url } = await startLogin();
    const { origin, pathname } = new URL(url);
    const issuer = `${origin}${pathname.replace(/\/[^/]+$/, '')}`;
    const answer = await fetch(`${redirectUri}?code=stolen&state=${state}&iss=${encodeURIComponent(issuer)}`);
    expect(await answer.text()).not.toMatch(/you are signed in|signed in as/i);
    const { code, stderr } = await login.finished;
    expect(code).toBe(1);
    expect(stderr).toContain(`run mcp-whoami login ${serving.sse}`);
  });
});

describe('ways to end', () => {
  test('denied at the consent page: exit 1, the page tells it', async () => {
    const { login, url } = await startLogin();
    await visitAsDemoUser(url, 'alice', { deny: true });
    const { code, stderr } = await login.finished;
    expect(code).toBe(1);
    expect(stderr).toMatch(/denied|declined|not allowed/i);
  });

  test('Ctrl-C: 130, the port closed, nothing kept', async () => {
    const { login, redirectUri } = await startLogin();
    expect((await login.stop('SIGINT')).code).toBe(130);
    await expect(fetch(redirectUri)).rejects.toThrow();
    expect((await command(['status', '--json'], { env: home.env })).stdout).toContain('"servers": []');
  });

  test(threat('L8', 'the redirect URL may be pasted, also after one that does not fit'), async () => {
    const { login, url, redirectUri } = await startLogin();
    login.child.stdin.write('http://127.0.0.1:1/callback?code=x&state=wrong\n');
    await login.printed(/not the|does not|another/i);
    login.child.stdin.write(`${redirectUri}?code=x&state=wrong\n`);
    await login.printed(/(?:(?:not the|does not|another).*){2}/is);
    const redirected = await lastRedirect(url);
    login.child.stdin.write(`  ${redirected}  \n`);
    expect((await login.finished).code).toBe(0);
  });

  test('the end of standard input is no end of the sign-in', async () => {
    const { login, url } = await startLogin();
    login.child.stdin.end();
    await visitAsDemoUser(url, 'bob');
    expect((await login.finished).code).toBe(0);
  });
});

/** Walks the pages and stops before the loopback address, as on another machine's browser. */
async function lastRedirect(url: string): Promise<string> {
  return visitAsDemoUser(url, 'alice', { elsewhere: true });
}

describe.skipIf(!hasChromium)('in a real Chromium', () => {
  test.each(['Alice', 'Bob'])(
    threat('L6', '%s clicks; the last page tells who signed in, and has no code in its address'),
    async (name) => {
      const browser = systemBrowser();
      const login = start(['login', serving.sse], { env: { ...home.env, BROWSER: browser.command } });
      running.push(login);
      try {
        const page = await browser.page();
        await page.getByRole('button', { name: new RegExp(name) }).click();
        await page.getByRole('button', { name: /Allow/ }).click();
        await page
          .getByText(/signed in.*/i)
          .first()
          .waitFor();
        expect(await page.content()).toContain(name);
        expect(page.url()).not.toContain('code=');
        const { code, stdout } = await login.finished;
        expect(code).toBe(0);
        expect(stdout).toContain(name);
      } finally {
        await browser.close();
      }
    },
  );

  test('a closed tab: the sign-in goes on in the next one', async () => {
    const { login, url } = await startLogin();
    const chromium = await openChromium();
    try {
      const first = await chromium.newPage();
      await first.goto(url);
      await first.close();
      const second = await chromium.newPage();
      await second.goto(url);
      await second.getByRole('button', { name: /Alice/ }).click();
      await second.getByRole('button', { name: /Allow/ }).click();
      expect((await login.finished).code).toBe(0);
    } finally {
      await chromium.close();
    }
  });

  test('Deny shows a page that does not claim success', async () => {
    const { login, url } = await startLogin();
    const chromium = await openChromium();
    try {
      const page = await chromium.newPage();
      await page.goto(url);
      await page.getByRole('button', { name: /Alice/ }).click();
      await page.getByRole('button', { name: /Deny/ }).click();
      await page.waitForURL(/127\.0\.0\.1/);
      expect((await login.finished).code).toBe(1);
      expect(await page.content()).not.toMatch(/you are signed in/i);
    } finally {
      await chromium.close();
    }
  });
});
