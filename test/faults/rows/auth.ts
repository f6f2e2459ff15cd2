import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { start } from '../../support/command.ts';
import { textOf } from '../../support/fault-client.ts';
import { type Protected, startProtected } from '../../support/fault-protected.ts';
import { row } from '../../support/fault-rows.ts';
import { follow } from '../../support/plain-browser.ts';
import { until } from '../../support/until.ts';
import { wrongClock } from '../../support/wrong-clock.ts';
import { reply, replyJson } from '../../unit/auth/support/issuer.ts';

async function signedIn(
  body: (world: Protected) => Promise<void>,
  lifetime?: number,
  path?: 'mcp' | 'sse',
): Promise<void> {
  const world = await startProtected(lifetime, path);
  try {
    await world.signIn();
    await body(world);
  } finally {
    await world.stop();
  }
}

const revokeAccess = (world: Protected) => world.accepted.clear();

/** A browser that only writes down where it was sent; out: what it wrote. */
function noteBrowser(world: Protected, exitCode = 0) {
  const script = join(world.home.path, 'browser.sh');
  writeFileSync(script, `#!/bin/sh\necho "$1" >> '${script}.log'\nexit ${exitCode}\n`);
  chmodSync(script, 0o755);
  return { command: script, log: `${script}.log` };
}

/** Tokens: refused, expired, not to be had. */
export function authRows(): void {
  row('401 in mid session', '10 calls at once', (saw) =>
    signedIn(async (world) => {
      const it = world.bridge();
      await it.ready();
      revokeAccess(world);
      const answers = await Promise.all(Array.from({ length: 10 }, () => it.call('count')));
      for (const answer of answers) expect(textOf(answer)).toMatch(/^ok/);
      expect(world.issuer.refreshes()).toBe(1);
      expect([...world.model.effects.values()].every((times) => times === 1)).toBe(true);
      saw('nothing: 1 refresh, 10 answers', Math.max(...answers.map(({ ms }) => ms)));
    }),
  );

  row('401 in mid session', 'tokens that live 30 s are renewed before their end', (saw) =>
    signedIn(async (world) => {
      const it = world.bridge();
      await it.ready();
      for (let count = 0; count < 60; count++) expect(textOf(await it.call('count'))).toMatch(/^ok/);
      expect(world.issuer.refreshes()).toBeLessThanOrEqual(1);
      saw(`60 calls, ${world.issuer.refreshes()} refreshes`);
    }, 30),
  );

  for (const path of ['mcp', 'sse'] as const) {
    row('403 step-up', `${path}, one window for three calls, then they run`, (saw) =>
      signedIn(
        async (world) => {
          const browser = noteBrowser(world);
          const it = world.bridge([], { BROWSER: browser.command });
          await it.ready();
          world.neededScope = 'files:write';
          const calls = [3100, 3101, 3102].map((n) => it.call('count', { n }));
          await until('the window', 10_000, () => existsSync(browser.log));
          const pages = () => readFileSync(browser.log, 'utf8').trim().split('\n');
          const asked = new URL(pages()[0] ?? '').searchParams.get('scope')?.split(' ');
          expect(asked).toEqual(expect.arrayContaining(['openid', 'files:write']));
          await follow(pages()[0] ?? '');
          const answers = await Promise.all(calls);
          expect(answers.map(textOf)).toEqual(['ok 3100', 'ok 3101', 'ok 3102']);
          expect(pages()).toHaveLength(1);
          expect([3100, 3101, 3102].map((n) => world.model.effects.get(n))).toEqual([1, 1, 1]);
          saw(`one window that asks for "${asked?.join(' ')}"; all three answered`);
        },
        3600,
        path,
      ),
    );
  }

  row('403 step-up', '--login never', (saw) =>
    signedIn(async (world) => {
      const it = world.bridge(['--login', 'never']);
      await it.ready();
      world.neededScope = 'files:write';
      const answer = await it.call('count', { n: 3000 });
      expect(answer.json.result?.isError).toBe(true);
      expect(textOf(answer)).toContain('files:write');
      expect(world.model.effects.has(3000)).toBe(false);
      saw(`"${textOf(answer)}"`, answer.ms);
    }),
  );

  for (const [how, broken] of [
    ['5xx', reply(503, 'down for maintenance')],
    ['connection refused', undefined],
  ] as const) {
    row('provider down at refresh', how, (saw) =>
      signedIn(async (world) => {
        const browser = noteBrowser(world);
        const it = world.bridge([], { BROWSER: browser.command });
        await it.ready();
        revokeAccess(world);
        if (broken) world.issuer.behaviour.token = () => broken;
        else await world.issuer.close();
        const answer = await it.call('count', { n: 3010 });
        expect(answer.json.result?.isError).toBe(true);
        expect(textOf(answer)).toContain(new URL(world.issuer.issuer).host);
        saw(`"${textOf(answer)}"`, answer.ms);
        if (broken) {
          delete world.issuer.behaviour.token;
          expect(textOf(await it.call('count', { n: 3011 }))).toBe('ok 3011');
          saw('when it is back: answered, no browser');
        }
        expect(existsSync(browser.log)).toBe(false);
      }),
    );
  }

  row('provider answers 200 with rubbish', 'HTML', (saw) =>
    signedIn(async (world) => {
      const it = world.bridge();
      await it.ready();
      revokeAccess(world);
      world.issuer.behaviour.token = () => reply(200, '<html>hello</html>', { 'content-type': 'text/html' });
      const answer = await it.call('count', { n: 3020 });
      expect(answer.json.result?.isError).toBe(true);
      saw(`"${textOf(answer)}"`, answer.ms);
      delete world.issuer.behaviour.token;
      expect(textOf(await it.call('count', { n: 3021 }))).toBe('ok 3021');
      saw('afterwards: answered');
    }),
  );

  for (const [how, answered] of [
    ['invalid_grant', replyJson(400, { error: 'invalid_grant' })],
    ['400 without JSON', reply(400, 'no')],
    ['401 without JSON', reply(401, 'no')],
  ] as const) {
    row('refresh token revoked', how, (saw) =>
      signedIn(async (world) => {
        const it = world.bridge(['--login', 'never']);
        await it.ready();
        revokeAccess(world);
        world.issuer.behaviour.token = () => answered;
        const answer = await it.call('count');
        expect(answer.json.result?.isError).toBe(true);
        expect(textOf(answer)).toMatch(/sign in again/);
        saw(`"${textOf(answer)}"`, answer.ms);
        const asked = world.issuer.at('token').length;
        await it.call('count');
        expect(world.issuer.at('token').length).toBe(asked);
        delete world.issuer.behaviour.token;
        await world.signIn();
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
        saw('the dead set is not asked again; after a new sign-in answered');
      }),
    );
  }

  for (const [how, exitCode, missing] of [
    ['missing', 0, true],
    ['crashes', 1, false],
  ] as const) {
    row('browser missing or crashes', how, (saw) =>
      signedIn(async (world) => {
        const browser = noteBrowser(world, exitCode);
        const command = missing ? '/nonexistent/browser' : browser.command;
        const login = start(['login', world.url, '--switch-account'], {
          env: { ...world.home.env, BROWSER: command },
        });
        const [url] = await login.printed(/^\s*(http\S+code_challenge=\S+)/m);
        await follow(url.trim());
        const { code } = await login.finished;
        expect(code).toBe(0);
        saw('the URL printed, the sign-in waited and went through');
      }),
    );
  }

  row('callback port taken', '--redirect-port', (saw) =>
    signedIn(async (world) => {
      const taken = createServer();
      const port = await new Promise<number>((resolve) => {
        taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
      });
      const args = ['login', world.url, '--redirect-port', String(port), '--switch-account'];
      const login = start(args, { env: world.home.env, input: '' });
      const { code, stderr } = await login.finished;
      taken.close();
      expect(code).toBe(1);
      expect(stderr).toContain(String(port));
      expect(stderr).toContain('--redirect-port');
      saw(`exit 1 "${stderr.trim().split('\n').at(-1)}"`);
    }),
  );

  row('clock wrong', 'a day ahead, a day behind: calls of a person who is signed in', (saw) =>
    signedIn(async (world) => {
      const day = 24 * 3_600_000;
      const ahead = world.bridge([], wrongClock(world.home.path, day));
      await ahead.ready();
      expect(world.issuer.refreshes()).toBe(1);
      const behind = world.bridge([], wrongClock(world.home.path, -day));
      await behind.ready();
      // By its own clock the token is fresh; by the server's it ended long ago.
      revokeAccess(world);
      const answer = await behind.call('count');
      expect(textOf(answer)).toMatch(/^ok/);
      await until('one more refresh', 1000, () => world.issuer.refreshes() === 2);
      saw('nothing: one refresh each', answer.ms);
    }),
  );

  row('clock wrong', 'a day ahead: the sign-in fails on the times of the id token, and tells', (saw) =>
    signedIn(async (world) => {
      const env = { ...world.home.env, ...wrongClock(world.home.path, 24 * 3_600_000) };
      const login = start(['login', world.url, '--no-browser'], { env });
      const [authorization] = await login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
      await follow(authorization);
      const { code, stderr } = await login.finished;
      const hint = stderr.trim().split('\n').at(-1) ?? '';
      expect(code).toBe(1);
      expect(hint).toContain('check the clock of this machine: it is 24 h ahead of the one of 127.0.0.1');
      saw(`exit 1 "${hint.trim()}"`);
    }),
  );
}
