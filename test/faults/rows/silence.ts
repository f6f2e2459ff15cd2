import { describe, expect } from 'vitest';
import { textOf } from '../../support/fault-client.ts';
import { row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { until } from '../../support/until.ts';

/** Connections that are open and carry nothing, and calls that are only slow. */
export function silenceRows(path: 'sse' | 'mcp'): void {
  describe(path, () => {
    row(
      'TCP black hole',
      `${path}, a call in flight`,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`);
          await it.ready();
          const call = it.call('count', { n: 800, how: 'silent' });
          await until('the call at the server', 5000, () => server.effects.has(800));
          way.blackHole();
          const at = performance.now();
          const { json } = await call;
          const ms = performance.now() - at;
          expect(json.error).toMatchObject({
            code: -32001,
            message: expect.stringContaining('may have run'),
          });
          expect(ms).toBeLessThan(15_000);
          saw(`-32001 "${json.error?.message}"`, ms);
          const next = await it.call('count', { n: 801 });
          expect(textOf(next)).toBe('ok 801');
          saw('the next call', next.ms);
        }),
      { slow: true },
    );

    row(
      'TCP black hole',
      `${path}, while idle`,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`);
          await it.ready();
          way.blackHole();
          const answer = await it.call('count', { n: 810 });
          expect(answer.ms).toBeLessThan(15_000);
          expect(textOf(answer)).toMatch(/^ok 810|may have run/);
          saw(`"${textOf(answer)}"`, answer.ms);
          expect(textOf(await it.call('count', { n: 811 }))).toBe('ok 811');
          expect(server.effects.get(810) ?? 0).toBeLessThanOrEqual(1);
        }),
      { slow: true },
    );

    row(
      'TCP black hole',
      `${path}, read is repeated on the next connection`,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`);
          await it.ready();
          way.blackHole();
          const answer = await it.call('read', { n: 820 });
          expect(textOf(answer)).toBe('ok 820');
          expect(answer.ms).toBeLessThan(15_000);
          saw('answered', answer.ms);
        }),
      { slow: true },
    );

    row(
      'TCP black hole',
      `${path}, new connections too`,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`);
          await it.ready();
          way.plan = () => ({ hole: true });
          way.blackHole();
          const calls = await Promise.all([it.call('count'), it.call('read')]);
          for (const call of calls) {
            expect(call.ms).toBeLessThan(26_000);
            saw(`"${textOf(call)}"`, call.ms);
          }
          way.plan = () => ({});
          way.reset();
          await until('a call that comes through', 25_000, async () =>
            textOf(await it.call('read')).startsWith('ok'),
          );
        }),
      { slow: true },
    );

    row(
      'a call that is merely slow',
      `${path}, 20 s without a word, pings answered`,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          const it = client(server[path]);
          await it.ready();
          const answer = await it.call('count', { n: 830, ms: 20_000 });
          expect(textOf(answer)).toBe('ok 830');
          saw(`answered, ${server.count('ping')} pings`, answer.ms);
        }),
      { slow: true },
    );

    row(
      'a call that is merely slow',
      `${path}, 18 s with heartbeats`,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model({ heartbeatMs: 2000 });
          const it = client(server[path]);
          await it.ready();
          const pings = server.count('ping');
          const answer = await it.call('count', { n: 831, ms: 18_000 });
          expect(textOf(answer)).toBe('ok 831');
          saw(`answered, ${server.count('ping') - pings} pings`, answer.ms);
        }),
      { slow: true },
    );

    row(
      'headers never come, slow body',
      `${path}, --timeout 3, progress keeps it alive`,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          const it = client(server[path], { args: ['--timeout', '3'] });
          await it.ready();
          const alive = it.call('count', { n: 840, ms: 7000, progressMs: 1000 }, { progressToken: 'p' });
          const silent = await it.call('count', { n: 841, how: 'silent' });
          expect(silent.json.error).toMatchObject({ code: -32001, data: { code: 'timeout' } });
          saw(`"${silent.json.error?.message}"`, silent.ms);
          const answer = await alive;
          expect(textOf(answer)).toBe('ok 840');
          saw('the one with progress answered', answer.ms);
          await until('a cancellation', 5000, () => server.count('notifications/cancelled') > 0);
        }),
      { slow: true },
    );

    row('headers never come, slow body', `${path}, a dripping way`, (saw) =>
      inWorld(async ({ client, model, proxy }) => {
        const server = await model();
        const way = await proxy(server.port);
        way.plan = () => ({ trickle: { bytes: 40, everyMs: 5 } });
        const it = client(`${way.origin}/${path}`);
        await it.ready();
        const answer = await it.call('count', { n: 850, size: 4000 });
        expect(textOf(answer)).toMatch(/^ok 850 x/);
        saw('answered', answer.ms);
      }),
    );

    row('half-open', path, (saw) =>
      inWorld(async ({ client, model, proxy }) => {
        const server = await model();
        const way = await proxy(server.port);
        way.plan = () => ({ swallowEnd: true });
        const it = client(`${way.origin}/${path}`);
        await it.ready();
        const call = it.call('count', { n: 860, how: 'silent' });
        await until('the call at the server', 5000, () => server.effects.has(860));
        server.reset();
        way.plan = () => ({});
        const at = performance.now();
        way.reset();
        const { json } = await call;
        const ms = performance.now() - at;
        expect(json.error?.code).toBe(-32001);
        expect(ms).toBeLessThan(1000);
        saw(`-32001 "${json.error?.message}" on the RST`, ms);
        expect(textOf(await it.call('count', { n: 861 }))).toBe('ok 861');
      }),
    );

    row(
      'laptop sleep',
      `${path}, stopped for 35 s while the way dies`,
      (saw) =>
        inWorld(async ({ client, model, proxy }) => {
          const server = await model();
          const way = await proxy(server.port);
          const it = client(`${way.origin}/${path}`);
          await it.ready();
          const { pid } = it.running.child;
          if (pid === undefined) throw new Error('not running');
          process.kill(pid, 'SIGSTOP');
          way.blackHole();
          await new Promise((resolve) => setTimeout(resolve, 35_000));
          process.kill(pid, 'SIGCONT');
          await until('the check', 5000, () => /asleep/.test(it.running.stderr()));
          const answer = await it.call('count', { n: 870 });
          expect(textOf(answer)).toBe('ok 870');
          expect(answer.ms).toBeLessThan(10_000);
          saw('the first call afterwards answered', answer.ms);
        }),
      { slow: true },
    );
  });
}
