import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hasChromium, openChromium, systemBrowser } from '../support/browser.ts';
import { command, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { confidentialClient, publicClient, resourceServer } from '../support/glewlwyd/admin.ts';
import { signInThroughPages } from '../support/glewlwyd/pages.ts';
import { type Glewlwyd, hasGlewlwyd, startGlewlwyd } from '../support/glewlwyd/server.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { type Serving, serve } from '../support/serve.ts';
import { until } from '../support/until.ts';

/** A third-party authorization server, signed in to through its own pages in a real Chromium. */
describe.skipIf(!hasGlewlwyd || !hasChromium)('glewlwyd', { timeout: 120_000 }, () => {
  let glewlwyd: Glewlwyd;
  let serving: Serving;
  let home: Home;
  let redirectPort: string;
  const scope = 'openid profile email';

  beforeAll(async () => {
    const [port, forClient] = [await freePort(), await freePort()];
    redirectPort = String(forClient);
    glewlwyd = await startGlewlwyd({
      resources: [`http://localhost:${port}/sse`, `http://localhost:${port}/mcp`],
      redirectUris: [`http://127.0.0.1:${redirectPort}/callback`],
      accessTokenSeconds: 1,
    });
    serving = await serve(['--port', String(port), '--issuer', glewlwyd.issuer]);
  });
  afterAll(async () => {
    await serving?.stop();
    await glewlwyd?.stop();
  });
  beforeEach(() => {
    home = makeHome();
  });
  afterEach(() => home.remove());

  /** The built command opens the browser; Alice goes through the pages; what the command said at its end. */
  async function login(url: string, args: readonly string[], env: Record<string, string> = {}) {
    const browser = systemBrowser();
    const running = start(['login', url, '--scope', scope, ...args], {
      env: { ...home.env, BROWSER: browser.command, ...env },
    });
    try {
      const page = await browser.page();
      await signInThroughPages(page, /\/done$/);
      const text = await page.locator('main').innerText();
      return { ...(await running.finished), page: text };
    } finally {
      await running.stop();
      await browser.close();
    }
  }
  const preRegistered = () => ['--client-id', publicClient, '--redirect-port', redirectPort];
  const who = (url: string, env = home.env) => command(['whoami', url, '--json'], { env });
  const refreshTokens = (enabled: 0 | 1) =>
    glewlwyd.sql(`SELECT gpor_id FROM gpo_refresh_token WHERE gpor_enabled=${enabled};`).length;

  test('login, bridge, refresh with rotation, dead refresh token, logout: a JWT bound to our resource', async () => {
    const { code, stdout, stderr, page } = await login(serving.sse, preRegistered());
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(page).toContain('You are signed in');
    expect(stdout).toContain(glewlwyd.issuer);

    const bridge = await connectOverStdio(['bridge', serving.sse], home.env);
    try {
      expect(await whoami(bridge.client)).toMatchObject({ iss: glewlwyd.issuer });
    } finally {
      await bridge.close();
    }
    expect(serving.running.stderr()).toMatch(/access tokens are verified by JWT/);

    // Each refresh retires the token before: what the command keeps is always the newest.
    for (let round = 1; round <= 3; round++) {
      const before = refreshTokens(0);
      await until('a refresh', 30_000, async () => {
        expect((await who(serving.sse)).code).toBe(0);
        return refreshTokens(0) > before;
      });
    }
    expect(refreshTokens(1)).toBe(1);

    // A refresh token that is no more is answered with status 400 and nothing else.
    glewlwyd.sql('UPDATE gpo_refresh_token SET gpor_enabled=0;');
    const status = await until('the end of the sign-in', 30_000, async () => {
      await who(serving.sse);
      const answer = await command(['status', serving.sse, '--json'], { env: home.env });
      return answer.code === 0 ? undefined : answer;
    });
    expect(status.code).toBe(3);

    const logout = await command(['logout', serving.sse], { env: home.env });
    expect(logout.code).toBe(0);
    expect(logout.stdout).toContain('Signed out');
  });

  test('logout: a public client may not revoke here, and the command says what that means', async () => {
    expect((await login(serving.mcp, preRegistered())).code).toBe(0);
    const logout = await command(['logout', serving.mcp], { env: home.env });
    expect(logout.code).toBe(0);
    expect(logout.stdout).not.toContain('revoked');
    expect(logout.stderr).toContain('may still honour the tokens');
    expect((await who(serving.mcp)).code).toBe(3);
  });

  test('a confidential client: the secret from the variable; logout revokes', async () => {
    const env = { MCP_WHOAMI_CLIENT_SECRET: confidentialClient.secret };
    const args = ['--client-id', confidentialClient.id, '--redirect-port', redirectPort];
    const { code, stderr } = await login(serving.sse, args, env);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const live = refreshTokens(1);
    expect((await who(serving.sse, { ...home.env, ...env })).code).toBe(0);
    const logout = await command(['logout', serving.sse], { env: { ...home.env, ...env } });
    expect(logout.stdout).toContain('revoked');
    expect(refreshTokens(1)).toBe(live - 1);
    expect(home.filesWith(confidentialClient.secret)).toEqual([]);
  });

  test('dynamic registration: no flag at all; a client that it forgot is registered anew in the same go', async () => {
    expect(await login(serving.sse, [])).toMatchObject({ code: 0 });
    const registered = () =>
      glewlwyd.sql("SELECT gc_client_id FROM g_client WHERE gc_client_id NOT LIKE 'mcp-%';");
    const [first = ''] = registered();
    expect((await who(serving.sse)).code).toBe(0);
    await glewlwyd.admin.call('DELETE', `client/${first}`);
    expect(registered()).toEqual([]);
    const again = await login(serving.sse, []);
    expect({ code: again.code, stderr: again.stderr }).toMatchObject({ code: 0 });
    expect(registered()).toHaveLength(1);
  });

  test('the device flow, under the name that it has for this grant at registration', async () => {
    const running = start(['login', serving.sse, '--device', '--scope', scope], { env: home.env });
    const chromium = await openChromium();
    try {
      const [, address = '', code = ''] = await running.printed(/\n(http\S+)\n\n.*\n\n(\S+)\n/);
      const page = await chromium.newPage();
      await page.goto(`${address}?code=${code}`);
      await signInThroughPages(page, /prompt=deviceComplete/);
      const finished = await running.finished;
      expect({ code: finished.code, stderr: finished.stderr }).toMatchObject({ code: 0 });
      expect((await who(serving.sse)).code).toBe(0);
    } finally {
      await running.stop('SIGKILL');
      await chromium.close();
    }
  });

  test('without a resource: its tokens name no audience of ours, and userinfo verifies them', async () => {
    const other = await serve(['--issuer', glewlwyd.issuer, '--verify', 'userinfo']);
    try {
      const { code, stderr } = await login(other.sse, [...preRegistered(), '--resource', 'none']);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      const answer = await who(other.sse);
      expect(JSON.parse(answer.stdout)).toMatchObject({ iss: glewlwyd.issuer, name: 'Alice Example' });
    } finally {
      await other.stop();
    }
  });

  test('introspection: the token bound to our resource, its subject merged with userinfo', async () => {
    const port = String(new URL(serving.origin).port);
    await serving.stop();
    const flags = ['--port', port, '--issuer', glewlwyd.issuer, '--verify', 'introspection'];
    serving = await serve(flags, {
      MCP_WHOAMI_INTROSPECTION_CLIENT_ID: resourceServer.id,
      MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET: resourceServer.secret,
    });
    expect(serving.running.stderr()).toMatch(/access tokens are verified by introspection/);
    const { code, stderr } = await login(serving.sse, preRegistered());
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const answer = await who(serving.sse);
    expect(JSON.parse(answer.stdout)).toMatchObject({ iss: glewlwyd.issuer, name: 'Alice Example' });
  });

  test('a resource that it does not know: invalid_target, and the error names --resource none', async () => {
    const other = await serve(['--issuer', glewlwyd.issuer]);
    try {
      const { code, stderr, page } = await login(other.sse, preRegistered());
      expect(code).toBe(1);
      expect(stderr).toContain('--resource none');
      expect(page).toContain('--resource none');
    } finally {
      await other.stop();
    }
  });
});
