import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { textOf } from '../../support/fault-client.ts';
import { type Protected, startProtected } from '../../support/fault-protected.ts';
import { row } from '../../support/fault-rows.ts';
import { follow } from '../../support/plain-browser.ts';
import { until } from '../../support/until.ts';

async function protectedBy(body: (world: Protected) => Promise<void>): Promise<void> {
  const world = await startProtected();
  try {
    await body(world);
  } finally {
    await world.stop();
  }
}

/** What several processes share: one sign-in, one lock, one window. */
export function sharingRows(): void {
  row('SIGKILL with the lock held', 'kill -9 of the process that is refreshing', (saw) =>
    protectedBy(async (world) => {
      await world.signIn();
      const [holder, waiter] = [world.bridge(['--login', 'never']), world.bridge(['--login', 'never'])];
      await holder.ready();
      await waiter.ready();
      world.accepted.delete(world.given.at(-1)?.token ?? '');
      // The first refresh arrives and is never answered: its process holds the lock.
      let hanging = false;
      world.issuer.behaviour.token = (form) => {
        if (hanging || form.get('grant_type') !== 'refresh_token') return undefined;
        hanging = true;
        return () => {};
      };
      void holder.call('count');
      await until('a refresh under way', 10_000, () => hanging);
      const call = waiter.call('count');
      await until('the other one at the lock', 5000, () => world.model.count('tools/call') >= 4);
      const from = performance.now();
      holder.running.child.kill('SIGKILL');
      expect(textOf(await call)).toMatch(/^ok/);
      const ms = performance.now() - from;
      expect(ms).toBeLessThan(2000);
      expect(world.issuer.refreshes()).toBe(1);

      saw('the other process answered', ms);
    }),
  );

  row('two bridges for one server start together', 'four of them, signed out', (saw) =>
    protectedBy(async (world) => {
      const opened = join(world.home.path, 'opened');
      const browser = join(world.home.path, 'browser.sh');
      writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$1" >> '${opened}'\n`);
      chmodSync(browser, 0o755);
      const bridges = Array.from({ length: 4 }, () => world.bridge([], { BROWSER: browser }));
      await Promise.all(bridges.map((bridge) => bridge.greet()));
      const calls = bridges.map((bridge) => bridge.call('count'));
      const [url = ''] = await until('a window', 20_000, () =>
        existsSync(opened) ? readFileSync(opened, 'utf8').trim().split('\n') : undefined,
      );
      await follow(url);
      for (const answer of await Promise.all(calls)) expect(textOf(answer)).toMatch(/^ok/);
      expect(readFileSync(opened, 'utf8').trim().split('\n')).toHaveLength(1);
      expect(world.issuer.at('token')).toHaveLength(1);

      saw('1 window, 1 code exchange, 4 answers');
    }),
  );
}
