import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLog, type LogLevel } from '../../../src/lib/log.ts';
import { createRequestLog } from '../../../src/server/request-log.ts';
import { openRecord, type RequestRecord } from '../../../src/server/record.ts';
import { threat } from '../../support/threats.ts';
import { openStream } from './support/raw.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await openWorld({ settings: { logRequests: 'all' } });
  token = await world.token();
});
afterAll(() => world.close());

/** The lines that were written meanwhile. */
async function lines(happens: () => Promise<unknown>): Promise<string[]> {
  const before = world.log().length;
  await happens();
  return world.log().slice(before).trimEnd().split('\n');
}

describe('one line a request', () => {
  test('tells route, method, status, time, size, client and who it was, told apart and not named', async () => {
    const [line, ...more] = await lines(() => world.rpc(token, call()));
    expect(more).toEqual([]);
    expect(line).toMatch(
      /^mcp-whoami: request route="mcp" method="POST" status="200" ms="[\d.]+" bytes="\d+" user="[0-9a-f]{8}" client="test-client" from="127\.0\.0\.1" id="[0-9a-f-]{36}"$/,
    );
  });

  test('names the trace that the request belongs to', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const [line] = await lines(() =>
      world.rpc(token, call(), { traceparent: `00-${trace}-b7ad6b7169203331-01` }),
    );
    expect(line).toContain(` id="${trace}"`);
    for (const given of [`00-${'0'.repeat(32)}-b7ad6b7169203331-01`, 'x" id="forged', `00-${trace}`]) {
      const [other] = await lines(() => world.rpc(token, call(), { traceparent: given }));
      expect(other).toMatch(/ id="[0-9a-f-]{36}"$/);
    }
  });

  test('a stream has its line when it opens, and one when it ends', async () => {
    const trace = '1af7651916cd43dd8448eb211c80319c';
    const headers = { authorization: `Bearer ${token}`, traceparent: `00-${trace}-b7ad6b7169203331-01` };
    const [opened] = await lines(async () => (await openStream(world.server.port, headers)).close());
    expect(opened).toMatch(
      /^mcp-whoami: stream open route="sse" method="GET" status="200" .*user="[0-9a-f]{8}"/,
    );
    expect(opened).toContain(` id="${trace}"`);
    await expect.poll(world.log).toContain('stream ended reason="the client has left" seconds="0"');
  });

  test('a refusal says why, in the same line', async () => {
    const [line, ...more] = await lines(() => world.rpc('wrong', call()));
    expect(more).toEqual([]);
    expect(line).toMatch(
      /^mcp-whoami: token refused path="\/mcp" reason="[^"]+" .*status="401" refused="invalid_token"/,
    );
  });

  test(threat('R21', 'never a token, a query, or a line of somebody else'), async () => {
    const forged = 'x%0Amcp-whoami: error: forged\r\u001b[31m';
    const told = (
      await lines(async () => {
        await world.send('GET', `/nothing?access_token=${token}&code=secret`);
        await world.send('GET', `/${encodeURI(forged)}`);
        await world.send('GET', `/sse?access_token=${token}`, { 'User-Agent': 'a"b' });
        await world.send('GET', '/sse', { Host: 'evil" forged="1' });
      })
    ).join('\n');
    expect(told).not.toContain(token);
    expect(told).not.toContain('secret');
    expect(told).not.toMatch(/^mcp-whoami: error/m);
    expect(told).not.toContain('\u001b');
    expect(told).toContain('path="/nothing"');
  });
});

describe('which level', () => {
  const request = {} as RequestRecord['req'];
  const linesOf = (record: Partial<RequestRecord>, which: 'all' | 'failed', level: LogLevel) => {
    const written: string[] = [];
    const log = createLog({ level, write: (line) => void written.push(line) });
    const observe = createRequestLog({ log, logRequests: () => which, callerOf: () => '192.0.2.1' });
    const base = openRecord(Object.assign(request, { headers: {}, method: 'GET', url: '/x?y' }));
    observe({ name: 'request', record: { ...base, status: 200, route: 'mcp', ...record } });
    return written.length;
  };

  test.each<[string, Partial<RequestRecord>, 'all' | 'failed', LogLevel, number]>([
    ['a good one, where all are asked for', {}, 'all', 'info', 1],
    ['a good one else', {}, 'failed', 'info', 0],
    ['a good one at debug', {}, 'failed', 'debug', 1],
    ['a failed one', { status: 404, refused: 'not_found' }, 'failed', 'info', 1],
    ['one that was broken off', { status: 0 }, 'failed', 'info', 1],
    ['the challenge that begins a sign-in', { status: 401, refused: 'unauthorized' }, 'failed', 'info', 0],
    ['a probe', { route: 'health' }, 'all', 'info', 0],
    ['anything at warn', { status: 500 }, 'all', 'warn', 0],
  ])('%s', (_what, record, which, level, count) => {
    expect(linesOf(record, which, level)).toBe(count);
  });
});
