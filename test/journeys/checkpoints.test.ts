import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { afterEach, describe, expect, test } from 'vitest';
import { command } from '../support/command.ts';
import { makeHome } from '../support/home.ts';
import { whoami } from '../support/mcp.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';

let serving: Serving | undefined;
const open: Client[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
  await serving?.stop();
});

async function connect(kind: 'sse' | 'http', url: string, token?: string): Promise<Client> {
  const requestInit = token ? { headers: { authorization: `Bearer ${token}` } } : {};
  const fetchWithToken = (input: string | URL, init?: RequestInit) =>
    fetch(input, {
      ...init,
      headers: { ...Object.fromEntries(new Headers(init?.headers)), ...requestInit.headers },
    });
  const client = new Client({ name: 'direct', version: '1' });
  const transport =
    kind === 'sse'
      ? new SSEClientTransport(new URL(url), { requestInit, eventSourceInit: { fetch: fetchWithToken } })
      : new StreamableHTTPClientTransport(new URL(url), { requestInit });
  await client.connect(transport as Parameters<Client['connect']>[0]);
  open.push(client);
  return client;
}

describe("the tutorial's two checkpoints", () => {
  test('first: without authentication whoami knows nobody', async () => {
    serving = await serve(['--no-auth']);
    for (const client of [await connect('sse', serving.sse), await connect('http', serving.mcp)]) {
      const [tool] = (await client.listTools()).tools;
      expect(tool).toMatchObject({
        name: 'whoami',
        annotations: { readOnlyHint: true, idempotentHint: true },
      });
      expect(tool?.outputSchema).toBeUndefined();
      const result = await client.callTool({ name: 'whoami' });
      expect(result).toMatchObject({ content: [{ type: 'text', text: '{"error":"Not authenticated"}' }] });
      expect(result.isError).toBeFalsy();
    }
  });

  test('second: with authentication whoami tells the claims, to several clients at once', async () => {
    serving = await serve();
    await expect(connect('sse', serving.sse)).rejects.toThrow(/401/);
    await expect(connect('http', serving.mcp)).rejects.toThrow(/401|invalid|unauthorized/i);
    const [alice, bob] = [makeHome(), makeHome()];
    try {
      await signIn(serving.sse, alice.env, [], 'alice');
      await signIn(serving.mcp, bob.env, [], 'bob');
      const seen = await Promise.all(
        [
          ['whoami', serving.sse, alice],
          ['whoami', serving.mcp, bob],
        ].map(async ([name, url, home]) => {
          const result = await command([String(name), String(url), '--json'], {
            env: (home as typeof alice).env,
          });
          return JSON.parse(result.stdout) as Record<string, unknown>;
        }),
      );
      expect(seen[0]).toMatchObject({ sub: 'alice', email: 'alice@example.com' });
      expect(seen[1]).toMatchObject({ sub: 'bob', email: 'bob@example.com' });
    } finally {
      alice.remove();
      bob.remove();
    }
  });
});

test('metadata and challenges at the well-known places', async () => {
  serving = await serve();
  const { origin } = serving;
  for (const path of ['/sse', '/mcp']) {
    const refused = await fetch(origin + path, { method: path === '/mcp' ? 'POST' : 'GET' });
    expect(refused.status).toBe(401);
    const challenge = refused.headers.get('www-authenticate') ?? '';
    expect(challenge).toContain(`resource_metadata="${origin}/.well-known/oauth-protected-resource${path}"`);
    expect(challenge).toContain('scope="openid profile email"');
    expect(challenge).not.toContain('error');
    const metadata = await fetch(`${origin}/.well-known/oauth-protected-resource${path}`);
    expect(metadata.headers.get('access-control-allow-origin')).toBe('*');
    expect(await metadata.json()).toMatchObject({
      resource: origin + path,
      bearer_methods_supported: ['header'],
    });
  }
  const mirror = (await (await fetch(`${origin}/.well-known/oauth-authorization-server`)).json()) as {
    issuer: string;
  };
  expect(mirror.issuer).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/oidc$/);
  const foreign = await fetch(`${origin}/sse`, { headers: { origin: 'https://evil.example' } });
  expect(foreign.status).toBe(403);
  const inQuery = await fetch(`${origin}/sse?access_token=abc`);
  expect(inQuery.status).toBe(401);
});

test('serve ends as product.md says: SIGTERM and SIGINT 0, a second signal at once', async () => {
  serving = await serve(['--drain-delay', '0']);
  expect((await serving.running.stop('SIGTERM')).code).toBe(0);
  serving = await serve(['--drain-delay', '60']);
  serving.running.child.kill('SIGTERM');
  await serving.running.printed(/finishing the calls in flight/);
  expect((await serving.running.stop('SIGINT')).code).toBe(130);
});

test('the whoami helper of the tests refuses what is no claim', async () => {
  serving = await serve(['--no-auth']);
  expect(await whoami(await connect('sse', serving.sse))).toEqual({ error: 'Not authenticated' });
});
