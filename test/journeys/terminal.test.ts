import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';
import { hasTerminal, openTerminal, type Terminal, type TerminalOptions } from '../support/terminal.ts';
import { startIssuer } from '../unit/auth/support/issuer.ts';
import { startResource } from '../unit/auth/support/resource.ts';

let serving: Serving;
let home: Home;
let terminal: Terminal | undefined;
beforeAll(async () => {
  serving = await serve();
});
afterAll(() => serving.stop());
beforeEach(() => {
  home = makeHome({ SSH_CONNECTION: '192.0.2.1 50000 192.0.2.2 22', BROWSER: '' });
});
afterEach(() => {
  terminal?.close();
  terminal = undefined;
  home.remove();
});

const waiting = /Waiting for you to finish there · \d:\d\d left · Ctrl-C ends it/;

async function openLogin(options: TerminalOptions = {}, ...args: string[]): Promise<Terminal> {
  terminal = await openTerminal(['login', serving.sse, ...args], {
    ...options,
    env: { ...home.env, ...options.env },
  });
  return terminal;
}

/** The redirect URL, as the browser of another machine ends with it. */
async function redirectFor(shown: Terminal): Promise<string> {
  const [url] = await shown.shows(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  return visitAsDemoUser(url, 'alice', { elsewhere: true });
}

describe.skipIf(!hasTerminal)('on a pseudo-terminal', () => {
  test('the bridge says that it waits for a client, and ends with Ctrl-C', async () => {
    terminal = await openTerminal(['bridge', serving.sse], { env: home.env });
    await terminal.shows(/An MCP client speaks to this command on standard input.*Ctrl-C ends it/s);
    terminal.press('C-c');
    expect(await terminal.ended()).toBe(130);
  });

  test('over SSH: why there is no browser, the other way, the address in one piece, and a paste without Enter', async () => {
    const login = await openLogin();
    const redirected = await redirectFor(login);
    await login.shows(waiting);
    expect(login.screen()).toContain('No browser is opened here: this is an SSH session.');
    expect(login.screen()).toContain(`mcp-whoami login ${serving.sse} --device`);
    login.paste(`The page says "${redirected}" and nothing else.`);
    expect(await login.ended()).toBe(0);
    const screen = login.screen();
    expect(screen).toContain('signed in as Alice Liddell (alice)');
    expect(screen).not.toMatch(/Waiting|left|⠋/);
    // What was pasted carries the code: it is nowhere to be seen.
    expect(login.printed()).not.toContain(new URL(redirected).searchParams.get('code'));
  });

  test('a line longer than the kernel takes at a time, typed into a terminal that marks no pastes', async () => {
    const login = await openLogin();
    const redirected = await redirectFor(login);
    login.paste(`${redirected}&padding=${'x'.repeat(9_000)}`, false);
    login.press('Enter');
    expect(await login.ended()).toBe(0);
  });

  test.each([true, false])('an address that was cut into lines (marked as a paste: %s)', async (marked) => {
    const login = await openLogin();
    const redirected = await redirectFor(login);
    const state = redirected.indexOf('state=') + 12;
    login.paste(
      `${redirected.slice(0, 40)}\n${redirected.slice(40, state)}\n  ${redirected.slice(state)}`,
      marked,
    );
    if (!marked) login.press('Enter');
    expect(await login.ended()).toBe(0);
  });

  test('what does not fit is told on a line of its own, and the right one is taken afterwards', async () => {
    const login = await openLogin({ columns: 130 });
    const redirected = await redirectFor(login);
    await login.shows(waiting);
    login.paste('http://127.0.0.1:1/callback?code=x&state=wrong');
    await login.shows(
      /^mcp-whoami: warn: that is not the address at which this sign-in ends; paste it once more$/m,
    );
    await login.shows(/^\S Waiting for you/m);
    login.paste(redirected);
    expect(await login.ended()).toBe(0);
  });

  test('the spinner fits into any width, counts down, and leaves nothing behind', async () => {
    const login = await openLogin({ columns: 48 });
    const [first] = await login.shows(/^\S Waiting for you to finish there · \d:\d\d$/m);
    await login.shows(new RegExp(`(?!${first.slice(-4)})\\d:\\d\\d$`));
    login.resize(20);
    await login.shows(/^\S \d:\d\d$/m);
    login.press('C-c');
    expect(await login.ended()).toBe(130);
    expect(login.screen()).toMatch(/cancelled$/m);
    expect(login.screen()).not.toMatch(/\d:\d\d$/m);
  });

  test('Ctrl-C: 130; the cursor was never hidden, the marking of pastes is off again', async () => {
    const login = await openLogin();
    await login.shows(waiting);
    login.press('C-c');
    expect(await login.ended()).toBe(130);
    const printed = login.printed();
    expect(printed).not.toContain('\u001b[?25l');
    expect(printed.lastIndexOf('\u001b[?2004l')).toBeGreaterThan(printed.lastIndexOf('\u001b[?2004h'));
    expect(printed.trimEnd()).toMatch(/cancelled$/);
  });

  test('a dumb terminal gets plain lines', async () => {
    const login = await openLogin({ term: 'dumb' });
    const redirected = await redirectFor(login);
    login.paste(redirected);
    login.press('Enter');
    expect(await login.ended()).toBe(0);
    expect(login.printed()).not.toContain('\u001b');
    expect(login.printed()).not.toContain('Waiting');
  });

  test('without UTF-8 nothing beyond ASCII turns', async () => {
    const login = await openLogin({ env: { LANG: 'C' } });
    await login.shows(/^[-\\|/] Waiting for you to finish there - \d:\d\d left - Ctrl-C ends it$/m);
  });
});

describe.skipIf(!hasTerminal)('the code of the device flow', () => {
  async function openDeviceLogin(options: TerminalOptions = {}, ...args: string[]) {
    const page = { verification_uri: 'https://auth.example/device', interval: 60 };
    const verification_uri_complete = 'https://auth.example/device?user_code=WXYZ-1234';
    const issuer = await startIssuer({
      device: (honest) => ({ ...honest, ...page, verification_uri_complete }),
    });
    const resource = await startResource(() => issuer.issuer);
    terminal = await openTerminal(['login', resource.url.href, '--device', ...args], {
      ...options,
      env: { ...home.env, ...options.env },
    });
    const close = () => Promise.all([issuer.close(), resource.close()]);
    return { login: terminal, close };
  }

  test('address and code on lines of their own, and a QR code on black and white', async () => {
    const { login, close } = await openDeviceLogin();
    await login.shows(/Waiting for you to allow it there · \d+:\d\d left/);
    expect(login.screen()).toMatch(/^https:\/\/auth\.example\/device$/m);
    expect(login.screen()).toMatch(/^WXYZ-1234$/m);
    expect(login.screen().match(/^█+$/gm)?.length).toBeGreaterThan(0);
    expect(login.printed()).toContain('\u001b[97;40m');
    login.press('C-c');
    expect(await login.ended()).toBe(130);
    await close();
  });

  test.each([
    ['a terminal that is too narrow', { columns: 30 }],
    ['one that is too low', { rows: 20 }],
    ['one without UTF-8', { env: { LANG: 'C' } }],
    ['a dumb one', { term: 'dumb' }],
  ])('%s shows no QR code', async (_, options) => {
    const { login, close } = await openDeviceLogin(options);
    await login.shows(/^WXYZ-1234$/m);
    if (!('term' in options)) await login.shows(/\d+:\d\d/);
    expect(login.printed()).not.toMatch(/[█▀▄]/);
    await close();
  });

  test('NO_COLOR: the code stays, its colours do not', async () => {
    const { login, close } = await openDeviceLogin({ env: { NO_COLOR: '1' } });
    await login.shows(/^█+$/m);
    await login.shows(/Waiting/);
    expect(login.printed()).not.toMatch(/\u001b\[[\d;]*m/);
    await close();
  });
});
