import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { silentLog } from '../../../src/lib/log.ts';
import { createSse } from '../../../src/server/mcp/sse.ts';
import { createMemorySessions } from '../../../src/server/sessions/memory.ts';
import { openStream } from './support/raw.ts';

test('an open stream keeps nothing of the token that opened it', async () => {
  const sessions = createMemorySessions({
    maxSessions: () => 5,
    sharePerUser: false,
    log: silentLog,
    now: Date.now,
  });
  const sse = createSse({ sessions, draining: () => false, log: silentLog });
  const seen: IncomingMessage[] = [];
  const server = createServer((req, res) => {
    expect(req.headers.authorization).toBe('Bearer secret-token');
    seen.push(req);
    const site = { origin: '', basePath: '', base: '' };
    void sse.stream({ req, res, path: '/sse', query: '', site, readableBy: undefined }, undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stream = await openStream(port, { authorization: 'Bearer secret-token' });
  expect(seen).toHaveLength(1);
  expect(seen[0]?.rawHeaders).toEqual([]);
  expect(seen[0]?.headers).toEqual({});
  stream.close();
  await new Promise((resolve) => server.close(resolve));
});
