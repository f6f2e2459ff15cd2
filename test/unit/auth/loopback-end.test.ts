import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Loopback, openLoopback } from '../../../src/auth/redirect/loopback.ts';
import { threat } from '../../support/threats.ts';
import { until } from './support/world.ts';

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

describe('listening ends', () => {
  it(threat('L4', 'is on loopback only'), async () => {
    const loopback = await start();
    const port = portOf(loopback).toString(16).toUpperCase().padStart(4, '0');
    const { readFile } = await import('node:fs/promises');
    const table = await readFile('/proc/net/tcp', 'utf8');
    const rows = table.split('\n').filter((row) => row.includes(`:${port} 00000000:0000 0A`));
    expect(rows).toHaveLength(1);
    expect(rows[0]).toContain(`0100007F:${port}`);
  });

  it(threat('L4', 'when the page was sent'), async () => {
    const loopback = await start();
    await honest(loopback);
    await expect(fetch(loopback.redirectUri)).rejects.toThrow();
  });

  it(threat('L4', 'soon after, when nobody asks for the page'), async () => {
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

  it(threat('L4', 'at once, when the tab was closed during the exchange'), async () => {
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

  it(threat('L4', 'at once on close, with idle sockets open'), async () => {
    const loopback = await start();
    const socket = connect(portOf(loopback), '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    await loopback.close();
    await ended;
  });
});

describe('floods', () => {
  it(threat('L5', '60 silent sockets and a 200 KB request line, then the honest one succeeds'), async () => {
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

  it(threat('L5', 'a flood does not cut the browser that waits for its page'), async () => {
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

  it(threat('L5', 'a head that is never finished is cut off'), async () => {
    const loopback = await start({ patienceMs: 300 });
    const answer = await raw(portOf(loopback), 'GET /callback HTTP/1.1\r\nHost: x\r\n');
    expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });
});

describe('the pages', () => {
  const hostile = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202e\u001b[31m';

  it(threat('L6', 'escape what came from outside, and forbid everything by policy'), async () => {
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

  it(threat('L6', 'escape a hostile name and server'), async () => {
    const loopback = await start();
    const page = fetch(`${loopback.redirectUri}?code=good&state=${state}`);
    await loopback.redirect;
    await loopback.finish({ signedIn: true, name: hostile, server: hostile });
    expect(await (await page).text()).not.toMatch(/<script|<img/);
  });
});
