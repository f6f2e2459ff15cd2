import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeSigningKey } from '../../../src/lib/signing-key.ts';
import { threat } from '../../support/threats.ts';
import { call, openWorld, type World } from './support/world.ts';

let behind: Server;
let reached = 0;
let world: World;
beforeAll(async () => {
  behind = createServer((_req, res) => {
    reached++;
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  await new Promise<void>((resolve) => behind.listen(0, '127.0.0.1', resolve));
  const { port } = behind.address() as AddressInfo;
  world = await openWorld({
    settings: { upstream: new URL(`http://127.0.0.1:${port}/mcp`) },
    identityKey: makeSigningKey(),
  });
});
afterAll(async () => {
  await world.close();
  behind.closeAllConnections();
  await new Promise((resolve) => behind.close(resolve));
});

test(threat('R13', 'with --upstream a foreign Host or Origin reaches nobody behind the gate'), async () => {
  const token = await world.token();
  for (const forged of [
    { host: 'evil.example' },
    { host: `localhost:${world.server.port + 1}` },
    { origin: 'https://evil.example' },
    { origin: 'null' },
  ]) {
    expect((await world.rpc(token, call(), forged)).status, JSON.stringify(forged)).toBe(403);
    const stream = await world.send('GET', '/sse', { authorization: `Bearer ${token}`, ...forged });
    expect(stream.status, JSON.stringify(forged)).toBe(403);
  }
  expect(reached).toBe(0);
  expect((await world.rpc(token, call())).status).toBe(200);
  expect(reached).toBe(1);
});

test(threat('R14', 'with --upstream forwarded headers stand for nobody'), async () => {
  const before = reached;
  const forged = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-uri': '/healthz',
    'x-forwarded-user': 'alice',
    'x-whoami-identity': 'e30.e30.e30',
    forwarded: 'host=evil.example',
  };
  const answer = await world.rpc(undefined, call(), forged);
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toContain(
    `resource_metadata="${world.origin}/.well-known/oauth-protected-resource/mcp"`,
  );
  expect(reached).toBe(before);
});
