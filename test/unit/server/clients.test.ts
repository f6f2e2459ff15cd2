import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.close());

const transports = { sse: SSEClientTransport, mcp: StreamableHTTPClientTransport };

async function connect(
  kind: keyof typeof transports,
  token: string | undefined,
  at = world,
): Promise<Client> {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const transport = new transports[kind](new URL(`${at.origin}/${kind}`), { requestInit: { headers } });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport as Transport);
  return client;
}

async function whoami(client: Client) {
  const result = await client.callTool({ name: 'whoami', arguments: {} });
  const [content] = result.content as { type: string; text: string }[];
  return { result, claims: JSON.parse(content?.text ?? 'null') as Record<string, unknown> };
}

describe.each(['sse', 'mcp'] as const)("the official SDK's client over /%s", (kind) => {
  test('lists whoami and calls it', async () => {
    const client = await connect(kind, await world.token());
    try {
      expect(client.getServerVersion()).toMatchObject({ name: 'WhoAmI' });
      expect(client.getServerCapabilities()).toEqual({ tools: {} });
      const { tools } = await client.listTools();
      expect(tools).toHaveLength(1);
      expect(tools[0]).toMatchObject({
        name: 'whoami',
        annotations: { readOnlyHint: true, idempotentHint: true },
        outputSchema: { type: 'object', required: ['sub', 'iss'] },
      });
      const { result, claims } = await whoami(client);
      expect(claims).toEqual({
        iss: world.provider.issuer,
        sub: 'alice',
        name: 'User alice',
        email: 'alice@example.com',
      });
      expect(result.structuredContent).toEqual(claims);
      expect(result.isError).toBeUndefined();
    } finally {
      await client.close();
    }
  });

  test('shows all userinfo claims and the issuer for an opaque token', async () => {
    const client = await connect(kind, world.provider.opaque('olga', { nested: { a: [1] }, iss: 'liar' }));
    try {
      const { claims } = await whoami(client);
      expect(claims).toEqual({
        sub: 'olga',
        name: 'User olga',
        email: 'olga@example.com',
        nested: { a: [1] },
        iss: world.provider.issuer,
      });
    } finally {
      await client.close();
    }
  });

  test(threat('R11', 'serves forty users at once, each their own name'), async () => {
    const names = Array.from({ length: 40 }, (_, i) => `user-${i}`);
    const clients = await Promise.all(names.map(async (name) => connect(kind, await world.token(name))));
    const seen = await Promise.all(clients.map(async (client) => (await whoami(client)).claims.sub));
    await Promise.all(clients.map((client) => client.close()));
    expect(seen).toEqual(names);
  });

  test('with --no-auth lists the tool without outputSchema and says that nobody is known', async () => {
    const open = await openWorld({ settings: { noAuth: true, issuers: [] }, provider: world.provider });
    try {
      const client = await connect(kind, undefined, open);
      const { tools } = await client.listTools();
      expect(tools[0]).not.toHaveProperty('outputSchema');
      const { result, claims } = await whoami(client);
      expect(claims).toEqual({ error: 'Not authenticated' });
      expect(result).not.toHaveProperty('isError');
      expect(result).not.toHaveProperty('structuredContent');
      await client.close();
      expect((await open.send('GET', '/.well-known/oauth-protected-resource')).status).toBe(404);
      expect((await open.send('GET', '/readyz')).json()).toEqual({ status: 'ok', authentication: 'none' });
    } finally {
      await open.close();
    }
  });
});
