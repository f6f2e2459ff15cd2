import { expect } from 'vitest';
import { textOf } from '../../support/fault-client.ts';
import { overBoth, row } from '../../support/fault-rows.ts';
import { inWorld } from '../../support/fault-world.ts';
import type { Model } from '../../support/model-server.ts';

/** The next POST of a call is met with `status`; after that the server behaves. */
function once(server: Model, status: number, headers: Record<string, string> = {}): void {
  server.gate = (_, response, asked) => {
    if (asked?.method !== 'tools/call') return false;
    server.gate = undefined;
    response.writeHead(status, headers).end();
    return true;
  };
}

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString();

/** What the server says by its status. */
export function statusRows(): void {
  overBoth((path) => {
    row('429 / 503 with Retry-After', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        for (const [status, after] of [
          [429, '1'],
          [503, inSeconds(3)],
        ] as const) {
          once(server, status, { 'retry-after': after });
          const answer = await it.call('count');
          expect(textOf(answer)).toMatch(/^ok/);
          expect(answer.ms).toBeGreaterThan(700);
          saw(`${status} "${after}": answered`, answer.ms);
        }
        for (const after of ['3600', inSeconds(3600)]) {
          once(server, 429, { 'retry-after': after });
          const answer = await it.call('count');
          expect(answer.json.result?.isError).toBe(true);
          expect(textOf(answer)).toMatch(/3(?:600|599) s/);
          expect(answer.ms).toBeLessThan(2000);
          saw(`"${textOf(answer)}"`, answer.ms);
        }
        expect([...server.effects.values()].every((times) => times === 1)).toBe(true);
      }),
    );

    row('429 / 503 without, other 5xx', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        for (const status of [429, 500, 502, 503]) {
          once(server, status);
          const before = server.count('tools/call');
          const answer = await it.call('count');
          expect(textOf(answer)).toContain(String(status));
          expect(answer.json.error ?? answer.json.result?.isError).toBeTruthy();
          expect(server.count('tools/call') - before).toBe(1);
          saw(`"${textOf(answer)}"`, answer.ms);
        }
        once(server, 502);
        const repeated = await it.call('read', { n: 900 });
        expect(textOf(repeated)).toBe('ok 900');
        expect(repeated.ms).toBeGreaterThan(400);
        saw('read: repeated once, answered', repeated.ms);
        server.gate = (_, response, asked) => {
          if (asked?.method !== 'tools/call') return false;
          response.writeHead(500).end();
          return true;
        };
        const before = server.count('tools/call');
        expect(textOf(await it.call('read'))).toContain('500');
        expect(server.count('tools/call') - before).toBe(2);
        saw('500 for good: asked twice');
      }),
    );

    row('storms bounded', path, (saw) =>
      inWorld(async ({ client, model }) => {
        const server = await model();
        const it = client(server[path]);
        await it.ready();
        server.gate = (_, response) => {
          response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
          return true;
        };
        const before = server.seen.length;
        const answers = await Promise.all(Array.from({ length: 20 }, () => it.call('count')));
        for (const answer of answers) {
          expect(answer.json.result?.isError).toBe(true);
          expect(textOf(answer)).toContain('MCP_WHOAMI_TOKEN');
        }
        const asked = server.seen.length - before;
        expect(asked).toBeLessThanOrEqual(60);
        saw(`20 calls, always 401: ${asked} requests, "${textOf(answers[0] as never)}"`);
        server.gate = (request) => {
          request.socket.destroy();
          return true;
        };
        const closedBefore = server.seen.length;
        const closed = await Promise.all(Array.from({ length: 20 }, () => it.call('read')));
        for (const answer of closed) expect(answer.json.error ?? answer.json.result?.isError).toBeTruthy();
        const closedAsked = server.seen.length - closedBefore;
        expect(closedAsked).toBeLessThanOrEqual(140);
        saw(`20 reads, always closed: ${closedAsked} requests, "${textOf(closed[0] as never)}"`);
      }),
    );
  });
}
