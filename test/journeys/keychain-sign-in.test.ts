import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemBrowser } from '../support/browser.ts';
import { command, start } from '../support/command.ts';
import { type Keyring, keyringMissing, withKeyring } from '../support/keyring.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';
import { threat } from '../support/threats.ts';

describe.skipIf(keyringMissing)('with a real Secret Service', () => {
  let keyring: Keyring;
  let serving: Serving;
  beforeAll(async () => {
    [keyring, serving] = await Promise.all([withKeyring(), serve()]);
  });
  afterAll(async () => {
    await serving.stop();
    await keyring.stop();
  });
  const env = () => ({ ...keyring.env, BROWSER: 'none' });
  const call = async (environment: Record<string, string>) => {
    const { client, close } = await connectOverStdio(
      ['bridge', serving.sse, '--login', 'never'],
      environment,
    );
    try {
      return (await client.callTool({ name: 'whoami' })) as {
        isError?: boolean;
        content: { text: string }[];
      };
    } finally {
      await close();
    }
  };

  test('the tokens are in the keychain, and the bridge finds them', async () => {
    const login = await signIn(serving.sse, env());
    expect(login.code).toBe(0);
    expect(login.stdout).toMatch(/kept in\s+the system's keychain \(by (keytar|@napi-rs\/keyring)\)/);
    const { client, close } = await connectOverStdio(['bridge', serving.sse], env());
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
    await close();
  });

  test('a client that passes HOME and PATH only hides neither keychain nor sign-in', async () => {
    const { HOME = '', XDG_RUNTIME_DIR = '' } = keyring.env;
    // The runtime folder of a test is not /run/user/UID: it has to be named; the bus address is what is missing.
    expect((await call({ HOME, XDG_RUNTIME_DIR })).isError).toBeFalsy();
  });

  test(
    threat('S6', 'locked: the call says so, names what to do, starts no sign-in; unlocked it goes on'),
    async () => {
      await keyring.lock();
      const { isError, content } = await call(env());
      expect(isError).toBe(true);
      expect(content[0]?.text).toMatch(/keychain is locked/);
      const again = await command(['login', serving.sse, '--store', 'keychain'], { env: env() });
      expect(again.code).toBe(1);
      await keyring.unlock();
      expect((await call(env())).isError).toBeFalsy();
    },
  );

  test('logout empties it', async () => {
    expect((await command(['logout', serving.sse], { env: env() })).stdout).toContain('revoked');
    expect((await command(['status', '--json'], { env: env() })).code).toBe(3);
    expect((await call(env())).isError).toBe(true);
  });

  test('--store keychain where there is none is exit 1, not a file', async () => {
    const nowhere = { HOME: keyring.env.HOME ?? '', XDG_RUNTIME_DIR: '/nowhere', BROWSER: 'none' };
    const login = start(['login', serving.sse, '--store', 'keychain'], { env: nowhere });
    const { code, stderr } = await login.finished;
    expect(code).toBe(1);
    expect(stderr).toContain('--store file');
  });

  test("the demo by a person's clicks, kept in the keychain", async () => {
    const browser = systemBrowser();
    const demo = start(['demo'], { env: { ...keyring.env, BROWSER: browser.command } });
    try {
      const page = await browser.page();
      await page.getByRole('button', { name: /Alice/ }).click();
      await page.getByRole('button', { name: /Allow/ }).click();
      const { code, stdout, stderr } = await demo.finished;
      expect(stderr).toContain('in the keychain (Secret Service)');
      expect({ code, alice: /sub\s+alice/.test(stdout) }).toEqual({ code: 0, alice: true });
    } finally {
      await demo.stop('SIGKILL');
      await browser.close();
    }
  });
});
