import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasCaddy, startCaddy } from '../support/caddy.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { hasNginx, startNginx } from '../support/nginx.ts';
import { freePort, hasRedis } from '../support/redis.ts';

const fronts = [
  { name: 'nginx', isThere: hasNginx, start: startNginx },
  { name: 'Caddy', isThere: hasCaddy, start: startCaddy },
];

describe.each(fronts)('two replicas behind $name, with the file of the examples', ({ isThere, start }) => {
  const home = makeHome();
  let fleet: Fleet;
  let front: { served?(): string[]; stop(): Promise<void> };
  let origin: string;
  beforeAll(async () => {
    if (!isThere || !hasRedis) return;
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    fleet = await startFleet({ replicas: 2, publicUrl: origin });
    front = await start(port, fleet.ports);
  });
  afterAll(async () => {
    await front?.stop();
    await fleet?.stop();
    home.remove();
  });

  async function callTwenty(transport: 'sse' | 'http', path: string): Promise<void> {
    const token = await fleet.token(transport);
    const args = ['bridge', `${origin}${path}`, '--transport', transport];
    const { client, close } = await connectOverStdio(args, { ...home.env, MCP_WHOAMI_TOKEN: token });
    for (let i = 0; i < 20; i++) expect((await whoami(client)).sub).toBe(transport);
    await close();
  }

  /** How many POSTs to the path each replica has taken, where the front tells. */
  function expectBoth(path: string): void {
    const served = front.served?.();
    if (!served) return;
    for (const port of fleet.ports) {
      const taken = served.filter((line) => line.startsWith(`POST ${path} 127.0.0.1:${port} 20`));
      expect(taken.length).toBeGreaterThan(5);
    }
  }

  test.skipIf(!isThere || !hasRedis)(
    'HTTP+SSE: POSTs land on both, answers come on the one stream',
    async () => {
      await callTwenty('sse', '/sse');
      expectBoth('/messages');
    },
  );

  test.skipIf(!isThere || !hasRedis)('Streamable HTTP: calls land on both', async () => {
    await callTwenty('http', '/mcp');
    expectBoth('/mcp');
  });

  test.skipIf(!isThere || !hasRedis)('a replica that is gone is passed over', async () => {
    await fleet.kill(0);
    await callTwenty('sse', '/sse');
    await callTwenty('http', '/mcp');
    await fleet.start(0);
  });
});
