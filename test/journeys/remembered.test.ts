import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';

let home: Home;
let serving: Serving;
beforeEach(async () => {
  home = makeHome();
  serving = await serve();
});
afterEach(async () => {
  await serving.stop();
  home.remove();
});
const remembered = () => {
  const text = readFileSync(join(home.path, '.config', 'mcp-whoami', 'config.json'), 'utf8');
  return (JSON.parse(text) as { servers: unknown[] }).servers[0];
};

test('a list in a variable is remembered as what it means, a file by its whole path', async () => {
  const metadata = await (await fetch(`${serving.origin}/.well-known/oauth-authorization-server`)).text();
  writeFileSync(join(home.path, 'provider.json'), metadata);
  const env = { ...home.env, MCP_WHOAMI_ALLOW_HTTP: 'http://a.test, http://b.test' };
  const { code } = await signIn(serving.sse, env, ['--metadata', 'provider.json'], 'alice', home.path);
  expect(code).toBe(0);
  expect(remembered()).toEqual({
    url: serving.sse,
    metadata: join(home.path, 'provider.json'),
    allowHttp: ['http://a.test', 'http://b.test'],
  });
});

test('a header is remembered only with a variable in place of what may be a secret', async () => {
  const env = { ...home.env, TENANT: 'acme' };
  const headers = ['--header', 'X-Api-Key: k3y-of-carol', '--header', 'X-Tenant: ${TENANT}'];
  const { code, stderr } = await signIn(serving.sse, env, headers);
  expect(code).toBe(0);
  expect(stderr).toContain('not remembered');
  expect(remembered()).toEqual({ url: serving.sse, header: ['X-Tenant: ${TENANT}'] });
  expect(home.filesWith('k3y-of-carol')).toEqual([]);
  expect((await command(['whoami'], { env })).code).toBe(0);
});

test('at an address that is the origin alone, the sign-in says at once that no MCP endpoint is there', async () => {
  const { code, stderr } = await signIn(`${serving.origin}/`, home.env);
  expect(code).toBe(0);
  expect(stderr).toContain('did not tell its tools');
  expect(stderr).toContain('often ending in /mcp or /sse');
});

test('a token given by hand stands before a sign-in: login says so', async () => {
  const { code, stderr } = await signIn(serving.sse, { ...home.env, MCP_WHOAMI_TOKEN: 'by-hand' });
  expect(code).toBe(0);
  expect(stderr).toContain('while MCP_WHOAMI_TOKEN is set');
  expect(stderr).toContain('unset MCP_WHOAMI_TOKEN');
});
