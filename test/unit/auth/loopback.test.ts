import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Loopback, openLoopback } from '../../../src/auth/redirect/loopback.ts';
import { threat } from '../../support/threats.ts';
import { listen } from './support/http.ts';
import { refusal } from './support/world.ts';

const state = 'our-state-our-state-our-state-our-state-123';
const open: Loopback[] = [];
const start = async (options: Partial<Parameters<typeof openLoopback>[0]> = {}) => {
  const loopback = await openLoopback({ host: '127.0.0.1', port: 0, state, ...options });
  open.push(loopback);
  return loopback;
};
afterEach(async () => {
  await Promise.all(open.splice(0).map((it) => it.close()));
});

const done = { signedIn: true, name: 'Alice', server: 'https://mcp.example/mcp' } as const;
const portOf = (loopback: Loopback) => Number(new URL(loopback.redirectUri).port);

/** Sends bytes as they are; out: all that comes back. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

/** The honest redirect arrives and is told the truth. */
async function honest(loopback: Loopback): Promise<void> {
  const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
  const parameters = await loopback.redirect;
  expect(parameters.get('code')).toBe('good');
  await loopback.finish(done);
  const shown = await page;
  expect(new URL(shown.url).pathname).toBe('/done');
  expect(shown.url).not.toContain('code');
  expect(await shown.text()).toContain('You are signed in');
}

describe('what is not ours gets 404 and changes nothing', () => {
  const forged: [string, string, RequestInit?][] = [
    ['a code with a wrong state', '/callback?code=evil&state=wrong'],
    ['a code with a state that is a prefix', `/callback?code=evil&state=${state.slice(0, -1)}`],
    ['a code with a longer state', `/callback?code=evil&state=${state}x`],
    ['a code with an empty state', '/callback?code=evil&state='],
    ['a code without a state', '/callback?code=evil'],
    ['an error without a state', '/callback?error=access_denied'],
    ['an error with a wrong state', '/callback?error=access_denied&state=wrong'],
    ['our state alone', `/callback?state=${state}`],
    ['nothing at all', '/callback'],
    ['a POST', `/callback?code=evil&state=${state}`, { method: 'POST' }],
    ['a HEAD', `/callback?code=evil&state=${state}`, { method: 'HEAD' }],
    ['an OPTIONS', `/callback?code=evil&state=${state}`, { method: 'OPTIONS' }],
    ['the favicon', '/favicon.ico'],
    ['another path', `/callback/more?code=evil&state=${state}`],
    ['the page of the end, too early', '/done'],
    ['two codes', `/callback?code=evil&code=good&state=${state}`],
    ['two states', `/callback?code=evil&state=wrong&state=${state}`],
    ['two issuers', `/callback?code=evil&iss=a&iss=b&state=${state}`],
  ];

  it.each(forged)(threat(['L1', 'L7'], '%s, then the honest one succeeds'), async (_name, path, init) => {
    const loopback = await start();
    const answer = await fetch(new URL(path, loopback.redirectUri), init);
    expect(answer.status).toBe(404);
    await honest(loopback);
  });

  it(threat('L1', 'all of them, then the honest one succeeds'), async () => {
    const loopback = await start();
    await Promise.all(forged.map(([, path, init]) => fetch(new URL(path, loopback.redirectUri), init)));
    await honest(loopback);
  });

  it(threat(['L1', 'L4'], 'after the first valid redirect others get 404'), async () => {
    const loopback = await start();
    const first = fetch(`${loopback.redirectUri}?code=first&state=${state}`);
    await loopback.redirect;
    const second = await fetch(`${loopback.redirectUri}?code=second&state=${state}`);
    expect(second.status).toBe(404);
    await loopback.finish(done);
    expect((await first).status).toBe(200);
    expect((await loopback.redirect).get('code')).toBe('first');
  });
});

describe('the Host must be ours', () => {
  it.each([
    ['another name', (port: number) => `Host: evil.example:${port}`],
    ['localhost', (port: number) => `Host: localhost:${port}`],
    ['without the port', () => 'Host: 127.0.0.1'],
    ['two of them', (port: number) => `Host: 127.0.0.1:${port}\r\nHost: evil.example`],
  ])(threat('L2', '%s'), async (_name, host) => {
    const loopback = await start();
    const port = portOf(loopback);
    const path = `/callback?code=evil&state=${state}`;
    const answer = await raw(port, `GET ${path} HTTP/1.1\r\n${host(port)}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
    await honest(loopback);
  });

  it(threat('L2', 'a whole URL as the target'), async () => {
    const loopback = await start();
    const port = portOf(loopback);
    const target = `http://evil.example/callback?code=evil&state=${state}`;
    const answer = await raw(
      port,
      `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 404 /);
    await honest(loopback);
  });
});

describe('the port', () => {
  it(threat('L3', 'a fixed port that is taken is an error that names the flag'), async () => {
    const other = await listen(() => {});
    const error = await refusal(openLoopback({ host: '127.0.0.1', port: other.port, state }));
    expect(error.code).toBe('port_taken');
    expect(error.hint).toContain('--redirect-port');
    await other.close();
  });

  it(threat('L3', 'localhost: nobody else can have the other address of the same port'), async () => {
    const loopback = await start({ host: 'localhost' });
    const port = portOf(loopback);
    const squatter = createServer();
    const outcome = await new Promise((resolve) => {
      squatter.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      squatter.listen({ port, host: '::1', exclusive: true }, () => resolve('listening'));
    });
    squatter.close();
    expect(['EADDRINUSE', 'EADDRNOTAVAIL', 'EAFNOSUPPORT']).toContain(outcome);
  });

  it('[::1] works', async (context) => {
    const loopback = await start({ host: '[::1]' }).catch(() => context.skip('no IPv6 here'));
    expect(loopback.redirectUri).toMatch(/^http:\/\/\[::1\]:\d+\/callback$/);
    await honest(loopback);
  });
});
