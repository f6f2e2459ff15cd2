import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:http';

import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { root } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { connectOverStdio } from '../support/mcp.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';

const everything = join(root, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The protocol's own example server, as it comes from the registry. */
async function startEverything(transport: 'streamableHttp' | 'sse'): Promise<number> {
  const port = await freePort();
  const child: ChildProcess = spawn(process.execPath, [everything, transport], {
    env: { PATH: process.env.PATH, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  ends.push(async () => {
    child.kill();
    await gone;
  });
  await new Promise<void>((resolve) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (/port/.test(text)) resolve();
    });
  });
  return port;
}

/** A gate in front of `url`, with somebody signed in to it. */
async function gateBefore(url: string): Promise<Serving> {
  const gate = await serve(['--upstream', url]);
  ends.push(() => gate.stop());
  await signIn(gate.mcp, gate.home.env);
  return gate;
}

async function connect(url: string, gate: Serving) {
  const it = await connectOverStdio(['bridge', url, '--login', 'never'], gate.home.env);
  ends.push(() => it.close());
  return it.client;
}

describe('a third-party MCP server behind the gate, through the bridge', () => {
  test.each([
    ['streamableHttp', 'mcp'],
    ['sse', 'sse'],
  ] as const)('%s', async (transport, path) => {
    const port = await startEverything(transport);
    const gate = await gateBefore(`http://127.0.0.1:${port}/${path}`);
    expect((await fetch(gate.mcp, { method: 'POST' })).status).toBe(401);
    const client = await connect(gate.mcp, gate);
    expect(client.getServerVersion()?.name).toContain('everything');
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('echo');
    expect(await client.callTool({ name: 'echo', arguments: { message: 'through the gate' } })).toMatchObject(
      {
        content: [{ type: 'text', text: expect.stringContaining('through the gate') }],
      },
    );
    const steps: number[] = [];
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.4, steps: 2 } };
    await client.callTool(long, undefined, { onprogress: ({ progress }) => steps.push(progress) });
    expect(steps.length).toBeGreaterThan(0);
    expect((await client.listResources()).resources.length).toBeGreaterThan(0);
  });

  test('it hears who calls, and no token', async () => {
    const seen: Record<string, string | string[] | undefined>[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers);
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const gate = await gateBefore(url);
    await connect(gate.mcp, gate).catch(() => {});
    const jwt = String(seen.at(-1)?.['x-whoami-identity']);
    const keys = createRemoteJWKSet(new URL(`${gate.origin}/.well-known/jwks.json`));
    const { payload } = await jwtVerify(jwt, keys, { audience: url, issuer: gate.origin });
    expect(payload).toMatchObject({ sub: 'alice', whoami: { name: 'Alice Liddell' } });
    expect(seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });
});
