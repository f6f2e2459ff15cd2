import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Loopback, openLoopback } from '../../../src/auth/loopback.ts';
import { listen } from './support/http.ts';
import { refusal, until } from './support/world.ts';

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

describe('L1: what is not ours gets 404 and changes nothing', () => {
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
    ['L7: two codes', `/callback?code=evil&code=good&state=${state}`],
    ['L7: two states', `/callback?code=evil&state=wrong&state=${state}`],
    ['L7: two issuers', `/callback?code=evil&iss=a&iss=b&state=${state}`],
  ];

  it.each(forged)('%s, then the honest one succeeds', async (_name, path, init) => {
    const loopback = await start();
    const answer = await fetch(new URL(path, loopback.redirectUri), init);
    expect(answer.status).toBe(404);
    await honest(loopback);
  });

  it('all of them, then the honest one succeeds', async () => {
    const loopback = await start();
    await Promise.all(forged.map(([, path, init]) => fetch(new URL(path, loopback.redirectUri), init)));
    await honest(loopback);
  });

  it('after the first valid redirect others get 404', async () => {
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

describe('L2: the Host must be ours', () => {
  it.each([
    ['another name', (port: number) => `Host: evil.example:${port}`],
    ['localhost', (port: number) => `Host: localhost:${port}`],
    ['without the port', () => 'Host: 127.0.0.1'],
    ['two of them', (port: number) => `Host: 127.0.0.1:${port}\r\nHost: evil.example`],
  ])('%s', async (_name, host) => {
    const loopback = await start();
    const port = portOf(loopback);
    const path = `/callback?code=evil&state=${state}`;
    const answer = await raw(port, `GET ${path} HTTP/1.1\r\n${host(port)}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
    await honest(loopback);
  });

  it('a whole URL as the target', async () => {
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

describe('L3: the port', () => {
  it('a fixed port that is taken is an error that names the flag', async () => {
    const other = await listen(() => {});
    const error = await refusal(openLoopback({ host: '127.0.0.1', port: other.port, state }));
    expect(error.code).toBe('port_taken');
    expect(error.hint).toContain('--redirect-port');
    await other.close();
  });

  it('localhost: nobody else can have the other address of the same port', async () => {
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

describe('L4: listening ends', () => {
  it('is on loopback only', async () => {
    const loopback = await start();
    const port = portOf(loopback).toString(16).toUpperCase().padStart(4, '0');
    const { readFile } = await import('node:fs/promises');
    const table = await readFile('/proc/net/tcp', 'utf8');
    const rows = table.split('\n').filter((row) => row.includes(`:${port} 00000000:0000 0A`));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toContain(`0100007F:${port}`);
  });

  it('when the page was sent', async () => {
    const loopback = await start();
    await honest(loopback);
    await expect(fetch(loopback.redirectUri)).rejects.toThrow();
  });

  it('soon after, when nobody asks for the page', async () => {
    const loopback = await start({ patienceMs: 300 });
    const socket = connect(portOf(loopback), '127.0.0.1');
    socket.write(
      `GET /callback?code=good&state=${state} HTTP/1.1\r\nHost: ${new URL(loopback.redirectUri).host}\r\n\r\n`,
    );
    await loopback.redirect;
    await loopback.finish(done);
    socket.destroy();
    await expect(fetch(loopback.redirectUri)).rejects.toThrow();
  });

  it('at once, when the tab was closed during the exchange', async () => {
    const loopback = await start();
    const socket = connect(portOf(loopback), '127.0.0.1');
    socket.write(
      `GET /callback?code=good&state=${state} HTTP/1.1\r\nHost: ${new URL(loopback.redirectUri).host}\r\n\r\n`,
    );
    await loopback.redirect;
    socket.destroy();
    await loopback.finish(done);
    await expect(fetch(loopback.redirectUri)).rejects.toThrow();
  });

  it('at once on close, with idle sockets open', async () => {
    const loopback = await start();
    const socket = connect(portOf(loopback), '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    await loopback.close();
    await ended;
  });
});

describe('L5: floods', () => {
  it('60 silent sockets and a 200 KB request line, then the honest one succeeds', async () => {
    const loopback = await start();
    const port = portOf(loopback);
    const sockets: Socket[] = [];
    let closed = 0;
    for (let i = 0; i < 60; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => closed++);
      sockets.push(socket);
    }
    await until(() => closed >= 44);
    const answer = await raw(
      port,
      `GET /callback?${'x'.repeat(200_000)} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`,
    );
    expect(answer).toMatch(/^(HTTP\/1\.1 431 |$)/);
    await honest(loopback);
    for (const socket of sockets) socket.destroy();
  });

  it('a flood does not cut the browser that waits for its page', async () => {
    const loopback = await start();
    const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
    await loopback.redirect;
    let closed = 0;
    const sockets = Array.from({ length: 40 }, () => {
      const socket = connect(portOf(loopback), '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => closed++);
      return socket;
    });
    await until(() => closed >= 24);
    await loopback.finish(done);
    expect(await (await page).text()).toContain('You are signed in');
    for (const socket of sockets) socket.destroy();
  });

  it('a head that is never finished is cut off', async () => {
    const loopback = await start({ patienceMs: 300 });
    const answer = await raw(portOf(loopback), 'GET /callback HTTP/1.1\r\nHost: x\r\n');
    expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });
});

describe('L6: the pages', () => {
  const hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e\u001b[31m';

  it('escape what came from outside, and forbid everything by policy', async () => {
    const loopback = await start();
    const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
    await loopback.redirect;
    await loopback.finish({ signedIn: false, message: hostile, hint: hostile });
    const answer = await page;
    const html = await answer.text();
    expect(html).not.toMatch(/<script|<img|[\u202e\u001b]/);
    expect(html).toContain('&#60;script&#62;');
    const header = (name: string) => answer.headers.get(name);
    const nonce = /style-src 'nonce-([^']+)'/.exec(header('content-security-policy') ?? '')?.[1];
    expect(header('content-security-policy')).toMatch(/^default-src 'none';.*frame-ancestors 'none'$/);
    expect(html).toContain(`<style nonce="${nonce}">`);
    expect(header('referrer-policy')).toBe('no-referrer');
    expect(header('cache-control')).toBe('no-store');
    expect(header('x-content-type-options')).toBe('nosniff');
  });

  it('escape a hostile name and server', async () => {
    const loopback = await start();
    const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
    await loopback.redirect;
    await loopback.finish({ signedIn: true, name: hostile, server: hostile });
    expect(await (await page).text()).not.toMatch(/<script|<img/);
  });
});
