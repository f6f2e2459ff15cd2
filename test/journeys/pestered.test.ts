import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { textOf } from '../support/fault-client.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { follow } from '../support/plain-browser.ts';
import { until } from '../support/until.ts';
import { replyJson } from '../unit/auth/support/issuer.ts';

let world: Protected;
let env: Record<string, string>;
let log: string;
beforeEach(async () => {
  world = await startProtected();
  log = join(world.home.path, 'windows');
  const browser = join(world.home.path, 'browser.sh');
  writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$1" >> '${log}'\n`);
  chmodSync(browser, 0o755);
  env = { BROWSER: browser };
});
afterEach(() => world.stop());

/** The addresses that were opened in the person's browser. */
const windows = () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []);
const firstWindow = () => until('a window', 15_000, () => windows()[0]);
const revokeAccess = () => void world.accepted.delete(world.given.at(-1)?.token ?? '');

test('no window at start-up: whatever a client asks for, but a call', async () => {
  const bridges = [world.bridge([], env), world.bridge([], env)];
  for (const bridge of bridges) {
    await bridge.greet();
    for (const method of ['tools/list', 'prompts/list', 'resources/list', 'ping'])
      await bridge.request(method);
    await bridge.end();
  }
  expect(windows()).toEqual([]);
});

test('a person who said no is left alone for a while, by all processes; the answer names the line to type', async () => {
  world.issuer.behaviour.authorize = ({ state = '', iss = '' }) => ({ error: 'access_denied', state, iss });
  const [one, two] = [world.bridge([], env), world.bridge(['--profile', 'default'], env)];
  await one.greet();
  await two.greet();
  const refused = one.call('count');
  await follow(await firstWindow());
  expect(textOf(await refused)).toContain('not granted');
  for (const bridge of [one, two]) {
    const answer = textOf(await bridge.call('count'));
    expect(answer).toMatch(/was just cancelled.*try again in \d+ s/);
    expect(answer).toContain(`mcp-whoami login ${world.url}`);
  }
  expect(windows()).toHaveLength(1);
});

test('a token that is refused is renewed without a word; no window', async () => {
  await world.signIn();
  const bridge = world.bridge([], env);
  await bridge.ready();
  revokeAccess();
  expect(textOf(await bridge.call('count'))).toMatch(/^ok/);
  expect(world.issuer.refreshes()).toBe(1);
  expect(windows()).toEqual([]);
});

test('a window opens only when the refresh was refused, and once; then the call runs', async () => {
  await world.signIn();
  const bridge = world.bridge([], env);
  await bridge.ready();
  revokeAccess();
  world.issuer.behaviour.token = (form) =>
    form.get('grant_type') === 'refresh_token' ? replyJson(400, { error: 'invalid_grant' }) : undefined;
  const calls = [bridge.call('count'), bridge.call('count')];
  await follow(await firstWindow());
  for (const answer of await Promise.all(calls)) expect(textOf(answer)).toMatch(/^ok/);
  expect(windows()).toHaveLength(1);
});

test('nobody to sign in: the answer says that it has ended, and the line to type names the account', async () => {
  await world.signIn(['--profile', 'work']);
  const bridge = world.bridge(['--profile', 'work', '--login', 'never'], env);
  await bridge.ready();
  revokeAccess();
  world.issuer.behaviour.token = () => replyJson(400, { error: 'invalid_grant' });
  const answer = textOf(await bridge.call('count'));
  expect(answer).toMatch(/was ended there \(invalid_grant\): sign in again/);
  expect(answer).toContain(`mcp-whoami login ${world.url} --profile work`);
  expect(windows()).toEqual([]);
});
