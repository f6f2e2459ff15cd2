import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { exchange, openStream } from './support/raw.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let token: string;
beforeAll(async () => {
  world = await openWorld({ settings: { metricsPort: 0 } });
  token = await world.token();
});
afterAll(() => world.close());

const scrape = (of = world, path = '/metrics', headers: [string, string][] = [], method = 'GET') =>
  exchange(of.server.metricsPort ?? 0, method, path, headers);
const bearer = (text = token) => ({ authorization: `Bearer ${text}` });

/** The value of a series; 0 where there is none. */
async function value(series: string, of = world): Promise<number> {
  const line = (await scrape(of)).body.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** By how much a series grows while something happens. */
async function grown(series: string, happens: () => Promise<unknown>, of = world): Promise<number> {
  const before = await value(series, of);
  await happens();
  return (await value(series, of)) - before;
}

describe('what is counted', () => {
  test('requests by route, method and code, and how long they took', async () => {
    const requests = 'mcp_whoami_http_requests_total{route="mcp",method="POST",code="200"}';
    const took = 'mcp_whoami_http_request_duration_seconds_count{route="mcp"}';
    const calls = () => Promise.all([world.rpc(token, call()), world.rpc(token, call())]);
    expect(await grown(requests, calls)).toBe(2);
    expect(await grown(took, calls)).toBe(2);
  });

  test('tool calls; a tool that is not ours by no name of its own', async () => {
    const wrong = { ...call(), params: { name: 'made up', arguments: {} } };
    const good = 'mcp_whoami_tool_calls_total{tool="whoami",outcome="ok"}';
    expect(await grown(good, () => world.rpc(token, [call(1), wrong, call(2)]))).toBe(2);
    const other = 'mcp_whoami_tool_calls_total{tool="other",outcome="error"}';
    expect(await grown(other, () => world.rpc(token, wrong))).toBe(1);
    expect((await scrape()).body).not.toContain('made up');
  });

  test('verdicts: by way and result, and where they came from', async () => {
    const fresh = await world.token('bob');
    const verified = 'mcp_whoami_token_verifications_total{method="jwt",result="accepted"}';
    expect(await grown(verified, () => world.rpc(fresh, call()))).toBe(1);
    expect(await grown('mcp_whoami_token_cache_total{result="hit"}', () => world.rpc(fresh, call()))).toBe(1);
    expect(
      await grown('mcp_whoami_token_cache_total{result="miss"}', () => world.rpc('unknown', call())),
    ).toBe(1);
    expect(
      await grown('mcp_whoami_token_cache_total{result="negative"}', () => world.rpc('unknown', call())),
    ).toBe(1);
  });

  test('questions to the authorization server, whether it is up, the age of its keys, stale verdicts', async () => {
    const own = await openWorld({ settings: { metricsPort: 0 } });
    const opaque = own.provider.opaque('carol');
    const asked = `mcp_whoami_provider_requests_total{issuer="${own.provider.issuer}",endpoint="userinfo",code="200"}`;
    expect(await grown(asked, () => own.rpc(opaque, call()), own)).toBe(1);
    const up = `mcp_whoami_provider_up{issuer="${own.provider.issuer}"}`;
    expect(await value(up, own)).toBe(1);
    own.provider.instead.set('all', (_req, res) => void res.writeHead(503).end());
    own.pass(61_000);
    const stale = 'mcp_whoami_token_cache_total{result="stale"}';
    expect(await grown(stale, () => own.rpc(opaque, call()), own)).toBe(1);
    expect(await value(up, own)).toBe(0);
    expect(await value(`mcp_whoami_jwks_age_seconds{issuer="${own.provider.issuer}"}`, own)).toBeGreaterThan(
      60,
    );
    expect(await value('mcp_whoami_provider_request_duration_seconds_count{endpoint="jwks"}', own)).toBe(1);
    await own.close();
  });

  test('streams: how many, how old, and why they ended', async () => {
    const own = await openWorld({ settings: { metricsPort: 0 }, pingMs: 20 });
    const mine = await own.token();
    const stream = await openStream(own.server.port, bearer(mine));
    expect(await value('mcp_whoami_sessions{transport="sse"}', own)).toBe(1);
    own.pass(31 * 60_000);
    await until('the end', 5_000, () => stream.text().includes(': closing'));
    expect(await value('mcp_whoami_sessions_closed_total{reason="idle"}', own)).toBe(1);
    const left = await openStream(own.server.port, bearer(await own.token()));
    expect(await value('mcp_whoami_oldest_session_seconds', own)).toBeLessThan(60);
    left.close();
    const gone = 'mcp_whoami_sessions_closed_total{reason="client"}';
    await until('the goodbye', 5_000, async () => (await value(gone, own)) === 1);
    expect(await value('mcp_whoami_session_age_seconds_count', own)).toBe(2);
    await own.close();
  });

  test('the process and its event loop', async () => {
    const { body } = await scrape();
    for (const name of [
      'process_resident_memory_bytes',
      'process_open_fds',
      'nodejs_eventloop_lag_seconds',
    ]) {
      expect(body).toMatch(new RegExp(`^${name} [\\d.e-]+$`, 'm'));
    }
  });
});

describe('each refusal is counted and says why', () => {
  const evil = { Origin: 'https://evil.example' };
  const large = { 'content-type': 'application/json', 'content-length': '5000000' };
  test.each<[string, () => Promise<unknown>]>([
    ['host', () => world.send('GET', '/mcp', { Host: 'evil.example' })],
    ['origin', () => world.send('POST', '/mcp', { ...evil, ...bearer() })],
    ['size', () => world.send('POST', '/mcp', { ...large, ...bearer() })],
    ['session', () => world.send('POST', '/messages?sessionId=x', bearer())],
    ['no_token', () => world.send('GET', '/sse')],
    ['token', () => world.rpc('wrong', call())],
    ['path', () => world.send('GET', '/made-up')],
    ['method', () => world.send('PUT', '/mcp', bearer())],
    ['malformed', () => world.rpc(token, '{')],
  ])(threat(['R13', 'R15', 'R16'], 'a refusal for the reason %s is counted'), async (reason, happens) => {
    expect(await grown(`mcp_whoami_rejected_total{reason="${reason}"}`, happens)).toBe(1);
  });

  test("another user's session", async () => {
    const stream = await openStream(world.server.port, bearer());
    const bob = await world.token('bob');
    const headers = { 'content-type': 'application/json', ...bearer(bob) };
    const foreign = 'mcp_whoami_rejected_total{reason="session_user"}';
    expect(
      await grown(foreign, () => world.send('POST', stream.endpoint, headers, JSON.stringify(call()))),
    ).toBe(1);
    stream.close();
  });

  test('a full server, one that drains, an authorization server that is away, scopes, --allow', async () => {
    const rules = { allow: [{ claim: 'sub', values: ['alice'] }] };
    const own = await openWorld({
      settings: { metricsPort: 0, maxSessions: 1, drainDelayMs: 60_000, ...rules },
    });
    const alice = await own.token();
    const stream = await openStream(own.server.port, bearer(alice));
    const rejected = (reason: string, happens: () => Promise<unknown>) =>
      grown(`mcp_whoami_rejected_total{reason="${reason}"}`, happens, own);
    expect(await rejected('sessions', () => own.send('GET', '/sse', bearer(alice)))).toBe(1);
    expect(await rejected('policy', async () => own.rpc(await own.token('bob'), call()))).toBe(1);
    const thin = await own.provider.jwt({ claims: { aud: `${own.origin}/mcp`, scope: 'email' } });
    expect(await rejected('scope', () => own.rpc(thin, call()))).toBe(1);
    own.provider.instead.set('userinfo', (_req, res) => void res.writeHead(503).end());
    expect(await rejected('unavailable', () => own.rpc(own.provider.opaque('alice'), call()))).toBe(1);
    void own.server.drain({ delay: true });
    expect(await rejected('draining', () => own.send('GET', '/sse', bearer(alice)))).toBe(1);
    expect(await value('mcp_whoami_draining', own)).toBe(1);
    stream.close();
    await own.close();
  });
});

describe('the port', () => {
  test('is one of its own: the server itself has no /metrics', async () => {
    expect((await world.send('GET', '/metrics')).status).toBe(404);
    const { headers } = await scrape();
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test(threat('R13', 'on loopback it answers to loopback names alone'), async () => {
    expect((await scrape(world, '/metrics', [['Host', 'evil.example']])).status).toBe(403);
    expect((await scrape(world, '/metrics', [['Host', 'localhost:9']])).status).toBe(200);
  });

  test('has nothing else, and is for reading', async () => {
    expect((await scrape(world, '/')).status).toBe(404);
    expect((await scrape(world, '/metrics', [], 'POST')).status).toBe(405);
    expect((await scrape(world, '/metrics', [], 'HEAD')).status).toBe(200);
  });

  test('that is taken: the start fails, and nothing is left open', async () => {
    const settings = { metricsPort: world.server.metricsPort ?? 0 };
    const error = await openWorld({ settings }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'port_taken', hint: expect.stringContaining('--metrics-port') });
  });
});

test(threat('R21', 'no token, no name of a user and no path of a client is in what is scraped'), async () => {
  await world.rpc(token, call());
  await world.send('GET', '/some/invented/path');
  const { body } = await scrape();
  for (const text of [token, 'alice', 'test-client', 'invented']) expect(body).not.toContain(text);
});
