import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { follow } from '../support/plain-browser.ts';
import { type Emulator, emulate } from '../support/providers/emulator.ts';
import * as providers from '../support/providers/quirks.ts';
import { type Serving, serve } from '../support/serve.ts';

/** What docs/providers tells to type, typed against the habits of each provider: `serve`, `login`, `whoami`. */
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

interface Walk {
  readonly serve: readonly string[];
  readonly login: readonly string[];
  readonly env?: Record<string, string>;
  /** Port of the whoami server, where a provider has to know its URL. */
  readonly port?: number;
}

async function login(args: readonly string[], env: Record<string, string> = {}) {
  const running = start(['login', serving?.sse ?? '', '--no-browser', ...args], {
    env: { ...home.env, ...env },
  });
  const [url] = await running.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  await follow(url);
  return running;
}

/** Out: what the whoami tool says of the person who signed in. */
async function walk(quirks: providers.Quirks, told: Walk): Promise<Record<string, unknown>> {
  emulator = await emulate(quirks);
  serving = await serve([
    '--issuer',
    emulator.issuer,
    ...(told.port ? ['--port', `${told.port}`] : []),
    ...told.serve,
  ]);
  const running = await login(told.login, told.env);
  const { code, stderr } = await running.finished;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const who = await command(['whoami', serving.sse, '--json'], { env: { ...home.env, ...told.env } });
  expect({ code: who.code, stderr: who.stderr }).toMatchObject({ code: 0 });
  return JSON.parse(who.stdout) as Record<string, unknown>;
}

describe('Keycloak', () => {
  test('no flag; tokens without an audience are verified by userinfo', async () => {
    expect(await walk(providers.keycloak(), { serve: [], login: [] })).toMatchObject({
      email: 'carol@example.com',
    });
    expect(serving?.running.stderr()).toContain('userinfo');
  });

  test('the audience `account` is not ours: the log says so', async () => {
    emulator = await emulate(providers.keycloak('account'));
    serving = await serve(['--issuer', emulator.issuer]);
    await (await login([])).finished;
    const who = await command(['whoami', serving.sse, '--json'], { env: home.env });
    expect(who.code).not.toBe(0);
    expect(serving.running.stderr()).toContain('another audience');
  });

  test('with an audience mapper: a JWT for us', async () => {
    const port = await freePort();
    const quirks = providers.keycloak([`http://localhost:${port}/sse`, 'account']);
    expect(await walk(quirks, { port, serve: [], login: [] })).toMatchObject({ sub: 'carol' });
    expect(emulator?.seen.some((path) => path.endsWith('/userinfo'))).toBe(false);
  });
});

describe('Entra ID', () => {
  const flags = ['--client-id', 'given', '--redirect-host', 'localhost', '--assume-pkce'];
  const api = [
    '--resource',
    'none',
    '--scope',
    `openid profile offline_access ${providers.entraApi}/.default`,
  ];
  const server = ['--audience', providers.entraApiId, '--required-scope', 'none'];

  test('the flags of its page', async () => {
    expect(await walk(providers.entra, { serve: server, login: [...flags, ...api] })).toMatchObject({
      sub: 'carol',
    });
  });

  test('without --resource none its page never comes back; what is printed meanwhile names the flag', async () => {
    emulator = await emulate(providers.entra);
    serving = await serve(['--issuer', emulator.issuer, ...server]);
    const running = await login(flags);
    await running.printed(/If the provider shows an error there, .*--resource none/);
    await running.stop('SIGINT');
  });

  test("a token for somebody else's API is refused: the server's log tells why", async () => {
    emulator = await emulate(providers.entra);
    serving = await serve(['--issuer', emulator.issuer, ...server]);
    const running = await login([...flags, '--resource', 'none', '--scope', 'openid profile']);
    await running.finished;
    const who = await command(['whoami', serving.sse, '--json'], { env: home.env });
    expect(who.code).not.toBe(0);
    expect(serving.running.stderr()).toMatch(/token refused/);
  });
});

describe('Auth0', () => {
  const client = ['--client-id', 'given', '--redirect-port'];

  test('the issuer typed without its slash; --auth-param audience', async () => {
    const api = 'https://whoami.example/api';
    const port = String(await freePort());
    emulator = await emulate(providers.auth0);
    serving = await serve(['--issuer', emulator.origin, '--audience', api]);
    const running = await login([...client, port, '--auth-param', `audience=${api}`]);
    expect((await running.finished).code).toBe(0);
    const who = await command(['whoami', serving.sse, '--json'], { env: home.env });
    expect(JSON.parse(who.stdout)).toMatchObject({ iss: `${emulator.origin}/`, sub: 'carol' });
  });

  test('without an audience: an opaque token, verified by userinfo', async () => {
    const told = { serve: [], login: [...client, String(await freePort())] };
    expect(await walk(providers.auth0, told)).toMatchObject({ email: 'carol@example.com' });
  });
});

test('Okta, a custom server: its one audience, scopes as an array', async () => {
  const told = { serve: ['--audience', 'api://default'], login: ['--client-id', 'given'] };
  expect(await walk(providers.oktaCustom, told)).toMatchObject({ sub: 'carol' });
});

test('Google: the secret from the variable, access_type=offline, verified by userinfo', async () => {
  const told = {
    serve: [],
    login: ['--client-id', 'given', '--auth-param', 'access_type=offline'],
    env: { MCP_WHOAMI_CLIENT_SECRET: 'GOCSPX-not-a-secret' },
  };
  expect(await walk(providers.google, told)).toMatchObject({ email: 'carol@example.com' });
});

describe('Cognito', () => {
  test.each([
    ['by the client, as a token without an audience says it', ['--audience', 'given']],
    ['by userinfo', []],
  ])('the flags of its page, verified %s', async (_how, server) => {
    const port = await freePort();
    const login = ['--client-id', 'given', '--redirect-host', 'localhost', '--redirect-port', String(port)];
    const told = { serve: server, login: [...login, '--assume-pkce'] };
    const quirks = providers.cognito(`http://localhost:${port}/callback`);
    expect(await walk(quirks, told)).toMatchObject({ sub: 'carol' });
  });
});

test('RFC 8414 only: no flag, a JWT bound to the server', async () => {
  expect(await walk(providers.rfc8414Only, { serve: [], login: [] })).toMatchObject({ sub: 'carol' });
});

test('GitHub: metadata from a file on both sides, a secret from the variable', async () => {
  emulator = await emulate({ ...providers.github, person: { sub: 'carol', login: 'carol' } });
  const file = join(home.path, 'github.json');
  writeFileSync(
    file,
    JSON.stringify({ ...emulator.metadata, userinfo_endpoint: `${emulator.issuer}/userinfo` }),
  );
  const metadata = ['--metadata', file];
  serving = await serve(['--issuer', emulator.issuer, ...metadata, '--verify', 'userinfo']);
  const env = { MCP_WHOAMI_CLIENT_SECRET: 'github-secret' };
  const running = await login(['--client-id', 'given', ...metadata, '--resource', 'none'], env);
  const { code, stderr } = await running.finished;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const who = await command(['whoami', serving.sse, '--json'], { env: home.env });
  expect(JSON.parse(who.stdout)).toMatchObject({ login: 'carol' });
});
