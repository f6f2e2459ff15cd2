import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { command, type Running, start } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { type Home, makeHome } from '../support/home.ts';
import {
  allScopes,
  type World as Issuer,
  openWorld as openIssuer,
  register,
  request,
} from '../unit/idp/support.ts';
import { json, openTestProvider, type TestProvider } from '../unit/server/support/provider.ts';

/** The built server with the rules of several authorization servers, one of them a real oidc-provider. */

const client = { id: 'whoami-server', secret: 'the secret of the introspection client' };
let oidc: Issuer;
let other: TestProvider;
beforeAll(async () => {
  oidc = await openIssuer({ introspectionClient: client });
});
afterAll(() => oidc.close());

let home: Home;
let running: Running | undefined;
beforeEach(async () => {
  home = makeHome();
  other = await openTestProvider();
});
afterEach(async () => {
  await running?.stop('SIGINT');
  running = undefined;
  await other.close();
  home.remove();
});

async function serve(config: object, args: readonly string[] = [], env: Record<string, string> = {}) {
  const folder = join(home.path, 'config');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const port = await freePort();
  const started = start(['serve', '--port', String(port), ...args], {
    env: { ...home.env, MCP_WHOAMI_CONFIG_DIR: folder, ...env },
  });
  running = started;
  return { ...started, origin: `http://localhost:${port}` };
}

/** What the whoami command says with a token given by hand. */
const whoami = (origin: string, token: string) =>
  command(['whoami', `${origin}/mcp`, '--json'], { env: { ...home.env, MCP_WHOAMI_TOKEN: token } });

async function opaqueToken() {
  const native = await register(oidc);
  const { url, exchange } = await request(native, {
    redirect_uri: oidc.redirects.uri,
    scope: allScopes,
    prompt: 'consent',
  });
  const { access_token: token } = await exchange(await visitAsDemoUser(url.href, 'alice'));
  return { token, clientId: native.clientMetadata().client_id };
}

test('two issuers of the configuration file: one by introspection with a client of its own, one by JWT', async () => {
  const { token, clientId } = await opaqueToken();
  const { origin, printed, stderr } = await serve(
    {
      serve: {
        issuers: [
          { issuer: oidc.provider.issuer, credentials: 'DEMO', allow: { client_id: clientId } },
          { issuer: other.issuer, verify: 'jwt', audience: 'urn:ours' },
        ],
      },
    },
    [],
    {
      MCP_WHOAMI_INTROSPECTION_CLIENT_ID_DEMO: client.id,
      MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET_DEMO: client.secret,
    },
  );
  await printed(
    /access tokens of \S+ are verified by JWT \(keys of \S+\), audience: checked; opaque tokens by introspection \S+, audience: checked \(auto: it publishes keys; introspection credentials are set\)/,
  );
  await printed(
    /access tokens of \S+ are verified by JWT \(keys of \S+\), audience: checked \(--verify jwt\)/,
  );

  const alice = await whoami(origin, token);
  expect([alice.code, alice.stderr]).toEqual([0, '']);
  expect(JSON.parse(alice.stdout)).toMatchObject({ sub: 'alice', iss: oidc.provider.issuer });
  const bob = await whoami(origin, await other.jwt({ sub: 'bob', claims: { aud: 'urn:ours' } }));
  expect(JSON.parse(bob.stdout)).toMatchObject({ sub: 'bob', iss: other.issuer });
  const wrong = await whoami(origin, await other.jwt({ sub: 'bob', claims: { aud: `${origin}/mcp` } }));
  expect(wrong.code).toBe(3);
  expect(stderr()).not.toContain(client.secret);
});

test('an account that --allow does not let in: the command says so, once, and what would help', async () => {
  const { origin, printed } = await serve({}, [
    '--issuer',
    other.issuer,
    '--allow',
    'email=boss@example.com',
  ]);
  await printed(/access tokens are verified by/);
  const { code, stderr } = await whoami(origin, await other.jwt({ claims: { aud: `${origin}/mcp` } }));
  expect(code).toBe(1);
  expect(stderr).toContain('does not let this account do that');
  expect(stderr).toContain('sign in with another account');
  await printed(/--allow does not let this user in path="\/mcp" claim="email"/);
});

test('--claims: what the command shows', async () => {
  const { origin, printed } = await serve({}, ['--issuer', other.issuer, '--claims', 'email']);
  await printed(/access tokens are verified by/);
  const { stdout } = await whoami(origin, await other.jwt({ claims: { aud: `${origin}/mcp` } }));
  expect(JSON.parse(stdout)).toEqual({ sub: 'alice', iss: other.issuer, email: 'alice@example.com' });
});

describe('unfit within 5 s of the start: exit 1 with the next step', () => {
  test('two issuers that may both have issued an opaque token', async () => {
    const { finished } = await serve({}, ['--issuer', oidc.provider.issuer, '--issuer', other.issuer]);
    const { code, stderr } = await finished;
    expect(code).toBe(1);
    expect(stderr).toContain(`an opaque token may be of ${oidc.provider.issuer} and ${other.issuer}`);
    expect(stderr).toContain('"verify": "jwt"');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('credentials for an introspection endpoint that is not there', async () => {
    const { finished } = await serve({}, ['--issuer', other.issuer], {
      MCP_WHOAMI_INTROSPECTION_CLIENT_ID: client.id,
      MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET: client.secret,
    });
    const { code, stderr } = await finished;
    expect(code).toBe(1);
    expect(stderr).toContain('has no introspection_endpoint');
    expect(stderr).not.toContain(client.secret);
  });
});

test('an issuer that is down at the start: 503 with Retry-After, and it recovers by itself', async () => {
  other.instead.set('all', (_req, res) => json(res, 503, {}));
  const { origin, printed } = await serve({}, ['--issuer', other.issuer]);
  await printed(/whoami server at/);
  const token = await other.jwt({ claims: { aud: `${origin}/mcp` } });
  const answer = await fetch(`${origin}/mcp`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
  expect((await fetch(`${origin}/readyz`)).status).toBe(503);
  other.instead.clear();
  await printed(/access tokens are verified by/);
  expect((await whoami(origin, token)).code).toBe(0);
});
