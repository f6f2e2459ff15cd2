import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type LogtoLike, logtoLike } from '../support/logto.ts';
import { follow } from '../support/plain-browser.ts';
import { type Serving, serve } from '../support/serve.ts';

let home: Home;
let logto: LogtoLike | undefined;
let serving: Serving | undefined;
beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  await serving?.stop();
  await logto?.close();
  home.remove();
});

async function login(url: string, ...args: string[]) {
  const running = start(['login', url, '--no-browser', ...args], { env: home.env });
  const [authorizationUrl] = await running.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  await follow(authorizationUrl);
  return running.finished;
}

test('without --client-id: no registration to be had, and the message says what to do', async () => {
  logto = await logtoLike();
  serving = await serve(['--issuer', logto.issuer]);
  const { code, stderr } = await command(['login', serving.sse, '--no-browser'], { env: home.env });
  expect(code).toBe(1);
  expect(stderr).toContain('--client-id');
  expect(stderr).toContain(logto.issuer);
});

test('an API resource that is not registered: invalid_target, and the message names both ways', async () => {
  logto = await logtoLike();
  serving = await serve(['--issuer', logto.issuer]);
  const { code, stderr } = await login(serving.sse, '--client-id', logto.clientId);
  expect(code).toBe(1);
  expect(stderr).toContain(serving.sse);
  expect(stderr).toContain('--resource none');
});

test('the first way, --resource none: an opaque token, verified by userinfo; remembered for the bridge', async () => {
  logto = await logtoLike();
  serving = await serve(['--issuer', logto.issuer, '--required-scope', 'none']);
  const { code, stderr } = await login(
    serving.sse,
    '--client-id',
    logto.clientId,
    '--resource',
    'none',
    '--scope',
    'openid profile email',
  );
  expect(stderr).not.toMatch(/mcp-whoami: (warn|error)/);
  expect(code).toBe(0);
  const who = await command(['whoami', serving.sse, '--json'], { env: home.env });
  expect(JSON.parse(who.stdout)).toMatchObject({
    iss: logto.issuer,
    sub: 'carol',
    username: 'carol',
    email: 'carol@example.com',
  });
  expect(logto.count('/me')).toBeGreaterThan(0);
});

test('the second way, the URL registered as an API resource: a JWT bound to us, no userinfo asked', async () => {
  serving = undefined;
  const port = await freePort();
  const sse = `http://localhost:${port}/sse`;
  logto = await logtoLike([sse]);
  const running = start(
    ['serve', '--port', String(port), '--issuer', logto.issuer, '--required-scope', 'none'],
    { env: home.env },
  );
  try {
    await running.printed(/access tokens are verified by/);
    const scope = 'openid profile email offline_access';
    expect((await login(sse, '--client-id', logto.clientId, '--scope', scope)).code).toBe(0);
    const who = await command(['whoami', sse, '--json'], { env: home.env });
    expect(JSON.parse(who.stdout)).toMatchObject({ iss: logto.issuer, sub: 'carol' });
    expect(running.stderr()).toMatch(/JWT/);
  } finally {
    await running.stop('SIGINT');
  }
});

test("a token for the API alone lacks the default scopes: the server's log names --required-scope", async () => {
  const port = await freePort();
  const sse = `http://localhost:${port}/sse`;
  logto = await logtoLike([sse]);
  const running = start(['serve', '--port', String(port), '--issuer', logto.issuer], { env: home.env });
  try {
    await running.printed(/access tokens are verified by/);
    expect((await login(sse, '--client-id', logto.clientId)).code).toBe(0);
    const who = await command(['whoami', sse, '--json'], { env: home.env });
    expect(who.code).toBe(1);
    expect(JSON.parse(who.stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
      error: { code: 'insufficient_scope' },
    });
    expect(running.stderr()).toContain('--required-scope');
  } finally {
    await running.stop('SIGINT');
  }
});
