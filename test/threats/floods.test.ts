import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { createGzip } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { type Running, start } from '../support/command.ts';
import { startFaultClient, textOf } from '../support/fault-client.ts';
import { type Home, makeHome } from '../support/home.ts';
import { startModel } from '../support/model-server.ts';
import { peakMemory } from '../support/processes.ts';
import { serve } from '../support/serve.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';
import { startIssuer } from '../unit/auth/support/issuer.ts';
import { startResource } from '../unit/auth/support/resource.ts';

/** What a start of the command takes, several times over; each flood is larger by far. Bytes. */
const modest = 260 * 1024 * 1024;

const flood = 400 * 1024 * 1024;

const homes: Home[] = [];
afterEach(() => {
  for (const home of homes.splice(0)) home.remove();
});

/** Ends the command's life with the most memory that it has had. */
async function peakOf(running: Running): Promise<{ code: number | null; stderr: string; peak: number }> {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, peakMemory(running.child.pid));
  }, 10);
  const { code, stderr } = await running.finished;
  clearInterval(timer);
  return { code, stderr, peak };
}

/** Writes the same piece again and again, for as long as somebody takes it. */
function pour(response: NodeJS.WritableStream & { destroyed?: boolean }, piece: Buffer, most: number): void {
  let left = most;
  const more = () => {
    while (left > 0 && !response.destroyed) {
      left -= piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    if (!response.destroyed) response.end();
  };
  more();
}

describe('answers to a sign-in', () => {
  const piece = Buffer.alloc(64 * 1024, 0x20);
  const kinds: Record<string, (response: ServerResponse) => void> = {
    'without an end': (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      pour(response, piece, flood);
    },
    'of 400 MB by its length': (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': flood });
      pour(response, piece, flood);
    },
    'of 400 MB when unpacked': (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      const gzip = createGzip();
      gzip.pipe(response);
      response.on('close', () => gzip.destroy());
      pour(gzip, piece, flood);
    },
    'of one byte now and then': (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 100);
      response.on('close', () => clearInterval(timer));
    },
    'that never come': () => {},
  };

  test.each(Object.keys(kinds))(
    threat('C13', 'metadata %s: the command ends by itself, in little memory'),
    async (kind) => {
      const issuer = await startIssuer();
      const resource = await startResource(() => issuer.issuer);
      const home = makeHome();
      homes.push(home);
      resource.behaviour.before = (_request, response, url) => {
        if (!url.pathname.startsWith('/.well-known')) return undefined;
        kinds[kind]?.(response);
        return true;
      };
      const { code, peak } = await peakOf(
        start(['login', resource.url.href, '--no-browser'], { env: home.env }),
      );
      expect(code).toBeGreaterThan(0);
      expect(peak).toBeGreaterThan(0);
      expect(peak).toBeLessThan(modest);
      await Promise.all([issuer.close(), resource.close()]);
    },
  );
});

describe('answers to a call', () => {
  const kinds: [string, string, (response: ServerResponse) => void][] = [
    [
      'a line of a stream without an end',
      'text/event-stream',
      (response) => {
        response.write('data: {"jsonrpc":"2.0","id":');
        pour(response, Buffer.alloc(64 * 1024, 'x'), flood);
      },
    ],
    [
      'an event of many lines without an end',
      'text/event-stream',
      (response) => pour(response, Buffer.from(`data: ${'x'.repeat(1000)}\n`.repeat(64)), flood),
    ],
    [
      'a document without an end',
      'application/json',
      (response) => pour(response, Buffer.alloc(64 * 1024, '['), flood),
    ],
  ];

  test.each(kinds)(
    threat('C14', '%s: that call fails, in little memory, and the next one works'),
    async (_name, type, answer) => {
      const model = await startModel();
      const bridge = startFaultClient(model.mcp, { args: ['--max-message', '1'] });
      try {
        await bridge.ready();
        model.gate = (_request, response, asked) => {
          if (asked?.method !== 'tools/call') return false;
          response.writeHead(200, { 'content-type': type });
          answer(response);
          return true;
        };
        const failed = await bridge.call('count');
        expect(textOf(failed)).not.toMatch(/^ok/);
        expect(peakMemory(bridge.running.child.pid)).toBeGreaterThan(0);
        expect(peakMemory(bridge.running.child.pid)).toBeLessThan(modest);
        model.gate = undefined;
        expect(textOf(await bridge.call('count'))).toMatch(/^ok/);
        expect(bridge.wrong).toEqual([]);
      } finally {
        await bridge.discard();
        await model.stop();
      }
    },
  );

  test.each(['sse', 'mcp'] as const)(
    threat(
      'C15',
      '%s, notifications to a client that reads nothing: the server has to wait, memory stays flat',
    ),
    async (path) => {
      const model = await startModel();
      const bridge = startFaultClient(model[path]);
      try {
        await bridge.ready();
        bridge.running.child.stdout.pause();
        const line = JSON.stringify({
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: 'x'.repeat(60_000),
        });
        const [stream] = await until('a stream', 10_000, () => model.streams.size > 0 && [...model.streams]);
        const event = `event: message\ndata: ${line}\n\n`.repeat(16);
        let written = 0;
        let refusals = 0;
        // Until the pipes between are full, and stay so: or until all has been swallowed.
        await until('a full pipe', 50_000, () => {
          for (; stream?.writableLength === 0 && written < flood; refusals = 0) {
            stream.write(event);
            written += event.length;
          }
          return ++refusals === 60 || written >= flood;
        });
        expect(written).toBeLessThan(flood);
        expect(peakMemory(bridge.running.child.pid)).toBeLessThan(modest);
        bridge.running.child.stdout.resume();
        expect(textOf(await bridge.call('count'))).toMatch(/^ok/);
      } finally {
        await bridge.discard();
        await model.stop();
      }
    },
  );
});

describe('requests to our server', () => {
  test(threat(
    'R17',
    '80 heads and 40 bodies that never end are cut off, and others are served meanwhile',
  ), async () => {
    const serving = await serve(['--no-auth']);
    const sockets: Socket[] = [];
    const closed: ('head' | 'body')[] = [];
    const hold = (what: 'head' | 'body', text: string) => {
      const socket = connect(serving.port, '127.0.0.1', () => socket.write(text));
      socket.on('error', () => {}).on('close', () => closed.push(what));
      socket.resume();
      sockets.push(socket);
    };
    const host = `Host: localhost:${serving.port}\r\n`;
    for (let i = 0; i < 80; i++) hold('head', `GET /sse HTTP/1.1\r\n${host}X-Slow: `);
    for (let i = 0; i < 40; i++) {
      hold(
        'body',
        `POST /mcp HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
      );
    }
    try {
      const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });
      const headers = { 'content-type': 'application/json', accept: 'application/json' };
      const answer = await fetch(serving.mcp, { method: 'POST', headers, body: ping });
      expect(answer.status).toBe(200);
      expect(closed).toEqual([]);
      await until('the end of all that is slow', 100_000, () => closed.length === sockets.length);
      // A head has half the time of a whole request.
      expect(closed.indexOf('body')).toBe(80);
    } finally {
      for (const socket of sockets) socket.destroy();
      await serving.stop();
    }
  }, 120_000);
});
