import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { follow } from '../support/plain-browser.ts';
import { commandsIn, textOfPage } from '../support/provider-pages.ts';
import { type Emulator, emulate } from '../support/providers/emulator.ts';
import * as providers from '../support/providers/quirks.ts';
import { type Serving, serve } from '../support/serve.ts';

/** What docs/providers tells to type, word for word, typed against the habits of each provider. */
let home: Home;
let emulator: Emulator | undefined;
let serving: Serving | undefined;
beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  await serving?.stop();
  await emulator?.close();
  home.remove();
});

/** What a page tells to type; its placeholders are replaced by what is here. */
function told(page: string, placeholders: Record<string, string> = {}) {
  const commands = commandsIn(textOfPage(page)).map((words) =>
    words.map((word) =>
      Object.entries(placeholders).reduce((text, [name, value]) => text.replace(name, value), word),
    ),
  );
  const [, ...serve] = commands.find(([name]) => name === 'serve') ?? [];
  const [, , ...login] = commands.findLast(([name]) => name === 'login') ?? [];
  return {
    serve: serve.map((word, i) => (serve[i - 1] === '--issuer' ? (emulator?.issuer ?? '') : word)),
    login,
  };
}

async function login(args: readonly string[], env: Record<string, string> = {}) {
  const running = start(['login', serving?.sse ?? '', '--no-browser', ...args], {
    env: { ...home.env, ...env },
  });
  const [url] = await running.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  await follow(url);
  return running;
}

const whoami = (env: Record<string, string> = {}) =>
  command(['whoami', serving?.sse ?? '', '--json'], { env: { ...home.env, ...env } });

/** Types what is told. Out: what the whoami tool says of the person who signed in. */
async function type(
  commands: { readonly serve: readonly string[]; readonly login: readonly string[] },
  env: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  serving = await serve(commands.serve);
  const { code, stderr } = await (await login(commands.login, env)).finished;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const who = await whoami(env);
  expect({ code: who.code, stderr: who.stderr }).toMatchObject({ code: 0 });
  return JSON.parse(who.stdout) as Record<string, unknown>;
}

/** A secret comes from the variable here: there is no terminal to ask on. */
const without = (flag: string, args: readonly string[]) => args.filter((word) => word !== flag);

describe('Keycloak', () => {
  test('no flag; tokens without an audience are verified by userinfo', async () => {
    emulator = await emulate(providers.keycloak());
    expect(await type(told('keycloak'))).toMatchObject({ email: 'carol@example.com' });
  });

  test('the audience `account` is not ours: the log says so', async () => {
    emulator = await emulate(providers.keycloak('account'));
    serving = await serve(told('keycloak').serve);
    await (await login(told('keycloak').login)).finished;
    expect((await whoami()).code).not.toBe(0);
    expect(serving.running.stderr()).toContain('another audience');
  });

  test('with an audience mapper: a JWT for us', async () => {
    const port = await freePort();
    emulator = await emulate(providers.keycloak([`http://localhost:${port}/sse`, 'account']));
    const { serve, login } = told('keycloak');
    expect(await type({ serve: [...serve, '--port', String(port)], login })).toMatchObject({ sub: 'carol' });
    expect(emulator.seen.some((path) => path.endsWith('/userinfo'))).toBe(false);
  });
});

describe('Entra ID', () => {
  const here = { API_CLIENT_ID: providers.entraApiId, CLIENT_ID: 'given', 'api://API': providers.entraApi };

  test('what its page tells', async () => {
    emulator = await emulate(providers.entra);
    expect(await type(told('entra-id', here))).toMatchObject({ sub: 'carol' });
  });

  test('without --resource none its page never comes back; what is printed meanwhile names the flag', async () => {
    emulator = await emulate(providers.entra);
    const commands = told('entra-id', here);
    serving = await serve(commands.serve);
    const running = await login(commands.login.filter((word) => word !== '--resource' && word !== 'none'));
    await running.printed(/If the provider shows an error there, .*--resource none/);
    await running.stop('SIGINT');
  });

  test("a token for somebody else's API is refused: the server's log tells why", async () => {
    emulator = await emulate(providers.entra);
    const commands = told('entra-id', here);
    serving = await serve(commands.serve);
    await (await login([...commands.login, '--scope', 'openid profile'])).finished;
    expect((await whoami()).code).not.toBe(0);
    expect(serving.running.stderr()).toContain('another audience');
  });
});

describe('Auth0', () => {
  const here = async () => ({
    IDENTIFIER: 'https://whoami.example/api',
    CLIENT_ID: 'given',
    8765: `${await freePort()}`,
  });

  test('what its page tells; the issuer may be typed without its slash', async () => {
    emulator = await emulate(providers.auth0);
    const { serve, login } = told('auth0', await here());
    const slashless = serve.map((word) => (word === emulator?.issuer ? emulator.origin : word));
    expect(await type({ serve: slashless, login })).toMatchObject({
      iss: `${emulator.origin}/`,
      sub: 'carol',
    });
  });

  test('without an audience: an opaque token, verified by userinfo', async () => {
    emulator = await emulate(providers.auth0);
    const { serve, login } = told('auth0', await here());
    const commands = { serve: serve.slice(0, 2), login: login.slice(0, -2) };
    expect(await type(commands)).toMatchObject({ email: 'carol@example.com' });
  });
});

test('Okta, a custom server: its one audience, scopes as an array', async () => {
  emulator = await emulate(providers.oktaCustom);
  const here = { CLIENT_ID: 'given', 8765: String(await freePort()) };
  expect(await type(told('okta', here))).toMatchObject({ sub: 'carol' });
});

test('Google: a secret, access_type=offline, verified by userinfo, let in by e-mail address', async () => {
  emulator = await emulate(providers.google);
  const { serve, login } = told('google', { CLIENT_ID: 'given', 'you@example.com': 'carol@example.com' });
  const env = { MCP_WHOAMI_CLIENT_SECRET: 'GOCSPX-not-a-secret' };
  const claims = await type({ serve, login: without('--ask-client-secret', login) }, env);
  expect(claims).toMatchObject({ email: 'carol@example.com' });
});

describe('Cognito', () => {
  test.each([
    ['by the client, as its tokens name no audience', Number.POSITIVE_INFINITY],
    ['by userinfo, where no audience is asked for', 2],
  ])('what its page tells, verified %s', async (_how, serverWords) => {
    const port = String(await freePort());
    emulator = await emulate(providers.cognito(`http://localhost:${port}/callback`));
    const { serve, login } = told('cognito', { CLIENT_ID: 'given', 8765: port });
    expect(await type({ serve: serve.slice(0, serverWords), login })).toMatchObject({ sub: 'carol' });
  });
});

test('RFC 8414 only: no flag, a JWT bound to the server', async () => {
  emulator = await emulate(providers.rfc8414Only);
  const { login } = told('oauth');
  expect(await type({ serve: ['--issuer', emulator.issuer], login })).toMatchObject({ sub: 'carol' });
});

test('GitHub: metadata from a file, a secret; a server that asks for a subject cannot verify its tokens', async () => {
  emulator = await emulate({ ...providers.github, person: { id: 583231, login: 'octocat' } });
  const file = join(home.path, 'github.json');
  writeFileSync(file, JSON.stringify(emulator.metadata));
  const userinfo = ['--userinfo-url', `${emulator.issuer}/userinfo`, '--verify', 'userinfo'];
  serving = await serve(['--issuer', emulator.issuer, '--metadata', file, ...userinfo]);
  const commands = told('github', { CLIENT_ID: 'given', 'docs/providers/github.json': file });
  const env = { MCP_WHOAMI_CLIENT_SECRET: 'github-secret' };
  const running = await login(without('--ask-client-secret', commands.login), env);
  expect(await running.finished).toMatchObject({ code: 0 });
  expect(JSON.parse((await command(['status', '--json'], { env: home.env })).stdout)).toMatchObject({
    servers: [{ issuer: emulator.issuer, signedIn: true }],
  });
  expect(serving.running.stderr()).toContain('told no subject');
});
