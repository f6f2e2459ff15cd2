import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { type FaultClient, textOf } from '../support/fault-client.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { follow } from '../support/plain-browser.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';

let world: Protected;
afterEach(() => world.stop());

const many = 20;
const rounds = 10;

async function startMany(): Promise<FaultClient[]> {
  const bridges: FaultClient[] = [];
  // Four at a time: twenty starts at once tell more about the machine than about us.
  for (let at = 0; at < many; at += 4) {
    const next = Array.from({ length: 4 }, () => world.bridge(['--login', 'never']));
    bridges.push(...next);
    await Promise.all(next.map((bridge) => bridge.ready()));
  }
  return bridges;
}

async function callAll(bridges: readonly FaultClient[]): Promise<void> {
  const answers = await Promise.all(bridges.map((bridge) => bridge.call('count')));
  expect(answers.map((answer) => textOf(answer).slice(0, 3))).toEqual(bridges.map(() => 'ok '));
}

const lastGiven = () => world.given.at(-1) ?? { token: '', at: 0 };

test(threat(
  'S5',
  '20 bridges, one token revoked: one refresh in each of 10 rounds, no call lost',
), async () => {
  world = await startProtected();
  await world.signIn();
  const bridges = await startMany();
  for (let round = 1; round <= rounds; round++) {
    // A server that refuses every other use of its own tokens is braked; one that revokes now and then is not.
    await callAll(bridges);
    world.accepted.delete(lastGiven().token);
    await callAll(bridges);
    expect(world.issuer.refreshes()).toBe(round);
  }
  expect(world.issuer.reused()).toBe(false);
  expect(bridges.flatMap((bridge) => bridge.wrong)).toEqual([]);
  console.log(
    `20 bridges | one token revoked | ${rounds} rounds, ${world.issuer.refreshes()} refreshes, family alive`,
  );
}, 120_000);

test(threat(
  'S5',
  '20 bridges, one token expired: one refresh in each of 10 rounds, no call lost',
), async () => {
  const lifetime = 3;
  world = await startProtected(3600);
  await world.signIn();
  const bridges = await startMany();
  // From now on each one is short-lived, and the server takes none that has expired.
  world.issuer.behaviour.lifetime = lifetime;
  world.accepted.delete(lastGiven().token);
  await callAll(bridges);
  for (let round = 1; round <= rounds; round++) {
    const { token, at } = lastGiven();
    await until('its end', 10_000, () => Date.now() > at + lifetime * 1000);
    world.accepted.delete(token);
    await callAll(bridges);
    expect(world.issuer.refreshes()).toBe(round + 1);
  }
  expect(world.issuer.reused()).toBe(false);
  console.log(`20 bridges | one token expired | ${rounds} rounds, ${rounds} refreshes, family alive`);
}, 120_000);

test('two instances, the first killed in the middle of a sign-in: the second takes over, one window', async () => {
  world = await startProtected();
  const opened = join(world.home.path, 'opened');
  const browser = join(world.home.path, 'browser.sh');
  writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$1" >> '${opened}'\n`);
  chmodSync(browser, 0o755);
  const windows = () => (existsSync(opened) ? readFileSync(opened, 'utf8').trim().split('\n') : []);
  const first = world.bridge([], { BROWSER: browser });
  await first.greet();
  void first.call('count');
  await until('a window', 15_000, () => windows().length === 1);
  const second = world.bridge([], { BROWSER: browser });
  await second.greet();
  const call = second.call('count', { n: 2000 });
  await until('both at the server', 10_000, () => world.model.count('initialize') >= 2);
  first.running.child.kill('SIGKILL');
  await first.running.finished;
  const url = new URL(windows()[0] ?? '');
  const back = new URL(url.searchParams.get('redirect_uri') ?? '');
  await until('somebody on the same port', 15_000, async () => {
    const answered = await fetch(back).then(
      () => true,
      () => false,
    );
    return answered;
  });
  await follow(url.href);
  const answer = await call;
  expect(textOf(answer)).toBe('ok 2000');
  expect(windows()).toHaveLength(1);
  expect(world.issuer.at('token')).toHaveLength(1);
  console.log(
    `two instances, the first killed in a sign-in | the second answered after ${Math.round(answer.ms)} ms, 1 window`,
  );
}, 90_000);
