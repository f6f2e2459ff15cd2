import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { hasNginx, startNginx } from '../support/nginx.ts';
import { freePort, hasRedis } from '../support/redis.ts';

describe.skipIf(!hasRedis || !hasNginx)('two replicas behind nginx, with the file of the examples', () => {
  const home = makeHome();
  let fleet: Fleet;
  let nginx: Awaited<ReturnType<typeof startNginx>>;
  let origin: string;
  beforeAll(async () => {
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    fleet = await startFleet({ replicas: 2, publicUrl: origin });
    nginx = await startNginx(port, fleet.ports);
  });
  afterAll(async () => {
    await nginx.stop();
    await fleet.stop();
    home.remove();
  });

  async function callTwenty(transport: 'sse' | 'http', path: string): Promise<void> {
    const token = await fleet.token(transport);
    const args = ['bridge', `${origin}${path}`, '--transport', transport];
    const { client, close } = await connectOverStdio(args, { ...home.env, MCP_WHOAMI_TOKEN: token });
    for (let i = 0; i < 20; i++) expect((await whoami(client)).sub).toBe(transport);
    await close();
  }

  /** How many POSTs to the path each replica has taken. */
  const posts = (path: string) =>
    fleet.ports.map(
      (port) => nginx.served().filter((line) => line.startsWith(`POST ${path} 127.0.0.1:${port} 20`)).length,
    );

  test('HTTP+SSE: POSTs land on both, answers come on the one stream', async () => {
    await callTwenty('sse', '/sse');
    for (const count of posts('/messages')) expect(count).toBeGreaterThan(5);
  });

  test('Streamable HTTP: calls land on both', async () => {
    await callTwenty('http', '/mcp');
    for (const count of posts('/mcp')) expect(count).toBeGreaterThan(5);
  });

  test('a replica that is gone is passed over', async () => {
    await fleet.kill(0);
    await callTwenty('sse', '/sse');
    await callTwenty('http', '/mcp');
    await fleet.start(0);
  });
});
