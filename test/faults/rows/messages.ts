import { expect } from 'vitest';
import { textOf } from '../../support/fault-client.ts';
import { overBoth, row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import { until } from '../../support/until.ts';

const megabyte = 1024 * 1024;

/** What is in the messages: cut, garbled, huge, twice, in another order. */
export function messageRows(): void {
  overBoth((path) => {
    row('SSE event cut in the middle', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const whole = `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: 1000, result: { content: [{ type: 'text', text: 'ok 1' }] } })}\n\n`;
        let worst = 0;
        let cuts = 0;
        for (let cutAt = 0; cutAt < whole.length - 4; cutAt += 7) {
          const answer = await it.call('count', { how: 'half', cutAt });
          expect(answer.json.error?.code).toBe(-32001);
          worst = Math.max(worst, answer.ms);
          cuts++;
        }
        saw(`${cuts} cuts, each -32001, no half line; the slowest`, worst);
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
      }),
    );

    row('SSE event cut in the middle', `${path}, by the network, at every 97th byte`, (saw) =>
      inWorld(async ({ client, model, proxy }) => {
        const server = await model();
        const way = await proxy(server.port);
        const it = client(`${way.origin}/${path}`);
        await it.ready();
        let [answered, failed] = [0, 0];
        for (let bytes = 97; bytes < 2000; bytes += 97) {
          way.plan = () => ({ cut: { down: bytes, how: bytes % 2 === 0 ? 'reset' : 'end' } });
          way.reset();
          const call = it.call('count');
          way.plan = () => ({});
          if (textOf(await call).startsWith('ok')) answered++;
          else failed++;
        }
        expect([...server.effects.values()].every((times) => times === 1)).toBe(true);
        saw(`${answered} answered, ${failed} "may have run", none twice`);
      }),
    );

    row('invalid JSON from the server', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const [bad, good] = await Promise.all([
          it.call('count', { how: 'garbage-only' }),
          it.call('count', { how: 'garbage' }),
        ]);
        expect(bad.json.error?.code).toBe(-32001);
        expect(bad.ms).toBeLessThan(3000);
        expect(textOf(good)).toMatch(/^ok/);
        saw(`"${textOf(bad)}"`, bad.ms);
        saw('the other call answered');
      }),
    );

    row(
      '50 MB messages both ways',
      path,
      (saw) =>
        inWorld(async ({ client, model }) => {
          const server = await model();
          const it = client(server[path]);
          await it.ready();
          const answer = await it.call('count', { size: 50 * megabyte });
          expect(textOf(answer).length).toBeGreaterThan(50 * megabyte);
          saw('50 MB to the client', answer.ms);
          const sent = await it.request('tools/call', {
            name: 'count',
            arguments: { n: 1100, padding: 'x'.repeat(50 * megabyte) },
          });
          expect(textOf(sent)).toBe('ok 1100');
          saw('50 MB to the server', sent.ms);
          const [large, small] = await Promise.all([
            it.call('count', { size: 65 * megabyte }),
            it.call('count'),
          ]);
          expect(large.json.error).toMatchObject({ data: { code: 'too_large' } });
          expect(textOf(small)).toMatch(/^ok/);
          saw(`65 MB: "${textOf(large)}", the call beside it answered`);
          const refused = await it.request('tools/call', {
            name: 'count',
            arguments: { n: 1101, padding: 'x'.repeat(65 * megabyte) },
          });
          expect(refused.json.error).toMatchObject({ data: { code: 'too_large' } });
          expect(server.effects.has(1101)).toBe(false);
          saw(`65 MB to the server: "${textOf(refused)}"`);
          expect(textOf(await it.call('count'))).toMatch(/^ok/);
        }),
      { slow: true },
    );

    row('ids', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const ids = ['"1"', '1', '-7', '1.5', '12345678901234567890', '0.1000000000000000055', '"é"', '""'];
        const found = ids.map((id) =>
          until(`an answer to ${id}`, 5000, () => it.running.stdout().includes(`"id":${id},`)),
        );
        for (const id of ids) {
          it.line(`{"jsonrpc":"2.0","id":${id},"method":"resources/read","params":{"uri":"model:one"}}`);
        }
        await Promise.all(found);
        saw(`${ids.join(' ')} came back as they were`);
        it.line('{"jsonrpc":"2.0","id":null,"method":"ping"}');
        await until('-32600', 5000, () => it.running.stdout().includes('"id":null,"error":{"code":-32600'));
        saw('null: -32600');
        const same = (n: number) =>
          `{"jsonrpc":"2.0","id":"same","method":"tools/call","params":{"name":"count","arguments":{"n":${n},"how":"silent"}}}`;
        it.line(same(1200));
        it.line(same(1201));
        await until('-32600', 5000, () => it.running.stdout().includes('"id":"same","error":{"code":-32600'));
        expect(server.effects.has(1201)).toBe(false);
        saw('the second in flight: -32600');
        // These were written by hand: the client did not expect their answers.
        it.wrong.length = 0;
      }),
    );

    row('answer twice, unknown id, late after cancel', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        expect(textOf(await it.call('count', { how: 'twice' }))).toMatch(/^ok/);
        expect(textOf(await it.call('count', { how: 'stranger' }))).toMatch(/^ok/);
        const line = {
          id: 'withdrawn',
          method: 'tools/call',
          params: { name: 'count', arguments: { n: 1300, ms: 700 } },
        };
        it.line(JSON.stringify({ jsonrpc: '2.0', ...line }));
        await until('the call at the server', 5000, () => server.effects.has(1300));
        it.notify('notifications/cancelled', { requestId: 'withdrawn' });
        await until(
          'the cancellation at the server',
          5000,
          () => server.count('notifications/cancelled') > 0,
        );
        // Behind the late answer on the same way.
        expect(textOf(await it.call('count', { ms: 1000 }))).toMatch(/^ok/);
        expect(it.messages.filter(({ id }) => id === 'withdrawn' || id === 'nobody-asked')).toEqual([]);
        saw('one answer each, none to the cancelled call');
      }),
    );

    row('duplicated and reordered answers', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const orders = Array.from({ length: 20 }, (_, index) => ({
          n: 1400 + index,
          how: 'reorder' as const,
        }));
        const answers = await Promise.all(orders.map((order) => it.call('count', order)));
        expect(answers.map(textOf)).toEqual(orders.map(({ n }) => `ok ${n}`));
        saw('20 answers in another order: each to its own request');
      }),
    );

    row('10,000 notifications in a burst', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        const answer = await it.call('count', { burst: 10_000 });
        expect(textOf(answer)).toMatch(/^ok/);
        const data = it.seen('notifications/message').map(({ params }) => (params as { data: number }).data);
        expect(data).toEqual(Array.from({ length: 10_000 }, (_, index) => index));
        saw(`${data.length} in order, then the answer`, answer.ms);
      }),
    );
  });

  row('invalid JSON from the client', 'half line, BOM, CRLF, empty lines, NUL', (saw) =>
    inWorld(async ({ client, model }) => {
      const server = await model();
      const it = client(server.mcp);
      await it.ready();
      const parseErrors = () =>
        it.messages.filter(({ error }) => (error as { code?: number })?.code === -32700).length;
      let expected = 0;
      for (const bad of ['{"jsonrpc":"2.0","id":1,"meth', '\0', '{"a":\u0000}', 'null{', '\ufeff\ufeff{]']) {
        it.line(bad);
        expected++;
        await until('-32700', 5000, () => parseErrors() === expected);
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
      }
      saw(`${expected} bad lines: -32700 with id null, the next line works`);
      for (const prefix of ['\ufeff', '\r\n\r\n', '\n\n', ' \t']) {
        it.line(`${prefix}{"jsonrpc":"2.0","method":"notifications/none"}\r`);
        expect(textOf(await it.call('count'))).toMatch(/^ok/);
      }
      expect(parseErrors()).toBe(expected);
      saw('BOM, CRLF, empty lines: nothing');
    }),
  );
}
