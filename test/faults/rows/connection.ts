import { expect } from 'vitest';
import { textOf } from '../../support/fault-client.ts';
import { overBoth, row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { until } from '../../support/until.ts';

/** The server and the way to it: down, killed, restarted, forgetful. */
export function connectionRows(): void {
  overBoth((path) => {
    row('server dead at start', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        await server.stop();
        const it = client(server[path]);
        const greeting = await it.greet();
        expect(greeting.json.result).toBeDefined();
        const list = await it.request('tools/list');
        saw('initialize answered', greeting.ms);
        saw('tools/list', list.ms);
        expect(list.ms).toBeLessThan(5000);
        const held = it.call('count');
        await until('a try', 8000, () => /trying again/.test(it.running.stderr()));
        await server.start();
        const answer = await held;
        expect(textOf(answer)).toMatch(/^ok/);
        saw('the call held and answered', answer.ms);
        await until('list_changed', 5000, () => it.seen('notifications/tools/list_changed').length > 0);
        saw('list_changed');
      }),
    );

    row(
      'server dead at start',
      `${path}, for good`,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          await server.stop();
          const it = client(server[path]);
          await it.greet();
          const answer = await it.call('count');
          expect(answer.json.result?.isError).toBe(true);
          expect(answer.ms).toBeGreaterThan(5000);
          expect(answer.ms).toBeLessThan(13_000);
          saw(`"${textOf(answer)}"`, answer.ms);
        }),
      { slow: true },
    );

    row('dies with a call in flight', `${path}, count`, (saw) =>
      inWorld(async ({ client, modelProcess }) => {
        const server = await modelProcess();
        const it = client(server[path]);
        await it.ready();
        const call = it.call('count', { n: 700, how: 'silent' });
        await until('the call at the server', 5000, () => server.effects().has(700));
        const at = performance.now();
        await server.kill();
        const { json } = await call;
        const ms = performance.now() - at;
        expect(json.error).toMatchObject({ code: -32001, message: expect.stringContaining('may have run') });
        expect(ms).toBeLessThan(1000);
        saw(`-32001 "${json.error?.message}"`, ms);
        await server.start();
        expect(textOf(await it.call('count', { n: 701 }))).toBe('ok 701');
        expect(server.effects().get(700)).toBe(1);
        saw('the next call runs');
      }),
    );

    row('dies with a call in flight', `${path}, read, the server back at once`, (saw) =>
      inWorld(async ({ client, modelProcess }) => {
        const server = await modelProcess();
        const it = client(server[path]);
        await it.ready();
        const call = it.call('read', { n: 710, ms: 1500 });
        await until('the call at the server', 5000, () => server.effects().has(710));
        const at = performance.now();
        await server.kill();
        await server.start();
        const answer = await call;
        expect(textOf(answer)).toBe('ok 710');
        expect(server.effects().get(710)).toBe(2);
        saw('repeated once, answered', performance.now() - at);
      }),
    );

    row('restarts while idle', path, (saw) =>
      inWorld(async ({ client, modelProcess }) => {
        const server = await modelProcess();
        const it = client(server[path]);
        await it.ready();
        await server.kill();
        await server.start();
        const answer = await it.call('count', { n: 720 });
        expect(textOf(answer)).toBe('ok 720');
        expect(server.effects().get(720)).toBe(1);
        saw('the next call answered', answer.ms);
      }),
    );

    row('404 session', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        server.sessions.clear();
        const answer = await it.call('count', { n: 730 });
        expect(textOf(answer)).toBe('ok 730');
        expect(server.effects.get(730)).toBe(1);
        expect(server.count('initialize')).toBe(2);
        expect(server.count('notifications/initialized')).toBe(2);
        saw('nothing; answered', answer.ms);
      }),
    );

    row('subscriptions and logging level after a reconnection', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        await it.request('logging/setLevel', { level: 'debug' });
        await it.request('resources/subscribe', { uri: 'model:one' });
        await it.request('resources/subscribe', { uri: 'model:two' });
        await it.request('resources/unsubscribe', { uri: 'model:two' });
        const [levels, subscriptions] = [
          server.count('logging/setLevel'),
          server.count('resources/subscribe'),
        ];
        server.sessions.clear();
        server.reset();
        expect(textOf(await it.call('read'))).toMatch(/^ok/);
        await until('the level', 5000, () => server.count('logging/setLevel') === levels + 1);
        await until(
          'the subscription',
          5000,
          () => server.count('resources/subscribe') === subscriptions + 1,
        );
        const last = server.seen.filter(({ asked }) => asked?.method === 'resources/subscribe').at(-1);
        expect(last?.asked?.params?.uri).toBe('model:one');
        saw('nothing; the server got both again');
      }),
    );

    row('refused and garbled connections', path, (saw) =>
      inWorld(async ({ client, model, proxy }) => {
        const server = await model();
        const way = await proxy(server.port);
        const it = client(`${way.origin}/${path}`);
        await it.ready();
        await way.refuse();
        way.reset();
        const held = it.call('count', { n: 740 });
        await until('a try', 8000, () => /trying again/.test(it.running.stderr()));
        way.plan = (index) => (index % 2 === 0 ? { reset: true } : { delayMs: 30 });
        await way.listen();
        const answer = await held;
        // A reset can come after the call was written: then nobody can say whether it ran.
        expect(textOf(answer)).toMatch(/^ok 740|may have run|try again/);
        expect(server.effects.get(740) ?? 0).toBeLessThanOrEqual(1);
        saw(`"${textOf(answer)}"`, answer.ms);
        way.plan = () => ({});
        await until('a call that comes through', 10_000, async () =>
          textOf(await it.call('read')).startsWith('ok'),
        );
      }),
    );
  });

  row('SSE closed right after endpoint', 'sse', (saw) =>
    inWorld(async ({ client, model }) => {
      const server = await model();
      server.closeAfterEndpoint = true;
      const it = client(server.sse);
      await it.greet();
      const held = it.call('count', { n: 750 });
      await until('some tries', 8000, () => server.seen.filter(({ verb }) => verb === 'GET').length >= 4);
      const tries = server.seen.filter(({ verb }) => verb === 'GET').length;
      server.closeAfterEndpoint = false;
      const answer = await held;
      expect(textOf(answer)).toBe('ok 750');
      saw(`${tries} tries, then answered`, answer.ms);
    }),
  );

  row(
    'SSE closed right after endpoint',
    'sse, for good',
    (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        server.closeAfterEndpoint = true;
        const it = client(server.sse);
        await it.greet();
        const answer = await it.call('count', { n: 751 });
        expect(answer.ms).toBeGreaterThan(5000);
        expect(answer.json.result?.isError ?? answer.json.error).toBeTruthy();
        const tries = server.seen.filter(({ verb }) => verb === 'GET').length;
        expect(tries).toBeLessThan(40);
        saw(`${tries} tries, then "${textOf(answer)}"`, answer.ms);
      }),
    { slow: true },
  );
}
