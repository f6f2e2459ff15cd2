import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, type StdioClient, whoami } from '../support/mcp.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

let serving: Serving;
let home: Home;
const clients: StdioClient[] = [];
beforeAll(async () => {
  serving = await serve();
});
afterAll(() => serving.stop());
beforeEach(() => {
  home = makeHome();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  home.remove();
});

async function connect(args: string[], env = home.env, capabilities = {}) {
  const client = await connectOverStdio(args, env, capabilities);
  clients.push(client);
  return client;
}
const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text ?? '';

describe('signed in', () => {
  test.each(['sse', 'mcp'] as const)('whoami through the bridge over %s', async (path) => {
    const login = await signIn(serving[path], home.env);
    expect(login.stderr + login.stdout).toMatch(/alice/);
    const { client } = await connect(['bridge', serving[path]]);
    expect(client.getServerVersion()?.name).toBe('WhoAmI');
    const { tools } = await client.listTools();
    expect(tools).toMatchObject([
      { name: 'whoami', annotations: { readOnlyHint: true, idempotentHint: true } },
    ]);
    expect(await whoami(client)).toMatchObject({ sub: 'alice', email: 'alice@example.com' });
    await client.ping();
  });

  test('bare mcp-whoami with a client on standard input is the bridge to the default server', async () => {
    await signIn(serving.sse, home.env);
    const { client } = await connect([]);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
  });

  test('twenty calls at once, each answered once', async () => {
    await signIn(serving.sse, home.env);
    const { client } = await connect(['bridge', serving.sse]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => whoami(client)));
    expect(answers.map((claims) => claims.sub)).toEqual(Array(20).fill('alice'));
  });
});

describe('not signed in', () => {
  test('lists at once, and a call tells the line to type with --login never', async () => {
    const { client } = await connect(['bridge', serving.sse, '--login', 'never']);
    expect((await client.listTools()).tools.map((tool) => tool.name)).toContain('sign_in');
    const result = await client.callTool({ name: 'whoami' });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toContain(`mcp-whoami login ${serving.sse}`);
  });

  test('a call after the sign-in works without restarting anything, and the list is announced', async () => {
    let changed = 0;
    const { client } = await connect(['bridge', serving.sse, '--login', 'never']);
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      changed++;
    });
    await client.listTools();
    await signIn(serving.sse, home.env);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
    await until('a list_changed', 5000, () => changed > 0);
    expect((await client.listTools()).tools.map((tool) => tool.name)).toEqual(['whoami']);
  });

  test('URL elicitation where the client declared it: the call waits, then answers', async () => {
    const { client } = await connect(['bridge', serving.sse], home.env, {
      elicitation: { form: {}, url: {} },
    });
    let asked = '';
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      asked = String((params as { url?: string }).url);
      void visitAsDemoUser(asked, 'bob');
      return { action: 'accept' };
    });
    expect(await whoami(client)).toMatchObject({ sub: 'bob' });
    expect(asked).toContain('code_challenge_method=S256');
  });

  test('the browser otherwise: one window, and the call answers when the person is done in time', async () => {
    const opened = `${home.path}/opened`;
    const browser = `${home.path}/browser.sh`;
    const { chmodSync, existsSync, readFileSync, writeFileSync } = await import('node:fs');
    writeFileSync(browser, `#!/bin/sh\nprintf '%s\\n' "$@" >> '${opened}'\n`);
    chmodSync(browser, 0o755);
    const { client } = await connect(['bridge', serving.sse], { ...home.env, BROWSER: browser });
    const [first, second] = [whoami(client), whoami(client)];
    const url = await until(
      'a browser',
      10_000,
      () => existsSync(opened) && readFileSync(opened, 'utf8').trim(),
    );
    await visitAsDemoUser(url, 'alice');
    expect(await Promise.all([first, second])).toMatchObject([{ sub: 'alice' }, { sub: 'alice' }]);
    expect(readFileSync(opened, 'utf8').trim().split('\n')).toHaveLength(1);
  });
});

describe('the token given by hand', () => {
  test('a refused one is an answer that names the variable; the process lives', async () => {
    const env = { ...home.env, MCP_WHOAMI_TOKEN: 'not-a-token-of-theirs' };
    const { client } = await connect(['bridge', serving.mcp], env);
    const result = await client.callTool({ name: 'whoami' });
    expect(result.isError).toBe(true);
    expect(textOf(result)).toContain('MCP_WHOAMI_TOKEN');
    expect(textOf(result)).not.toContain('not-a-token');
    await client.ping();
  });
});

describe('remote down, nobody signed in', () => {
  test('initialize, ping and tools/list are answered, server/discover refused, the process lives', async () => {
    const bridge = start(['bridge', 'http://127.0.0.1:9/sse'], { env: home.env });
    const lines = [
      { id: 'probe', method: 'server/discover', params: {} },
      {
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } },
      },
      { method: 'notifications/initialized' },
      { id: 2, method: 'tools/list' },
      { id: 3, method: 'ping' },
    ];
    for (const line of lines) bridge.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...line })}\n`);
    const answers = await until('four answers', 5000, () => {
      const all = bridge
        .stdout()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as { id?: unknown });
      const ids = ['probe', 1, 2, 3];
      return ids.every((id) => all.some((answer) => answer.id === id)) && all;
    });
    const by = (id: unknown) => answers.find((answer) => answer.id === id);
    expect(by('probe')).toMatchObject({ error: { code: -32601 } });
    expect(by(1)).toMatchObject({ result: { protocolVersion: '2025-06-18' } });
    expect(by(2)).toMatchObject({ result: { tools: [{ name: 'sign_in' }] } });
    expect(by(3)).toMatchObject({ result: {} });
    expect(bridge.child.exitCode).toBeNull();
    bridge.child.stdin.end();
    expect(await bridge.finished).toMatchObject({ code: 0 });
  });
});

describe('the end', () => {
  const initialize = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } } })}\n`;
  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('%s ends it with %i, within a second or so', async (signal, code) => {
    const bridge = start(['bridge', serving.sse], { env: home.env });
    bridge.child.stdin.write(initialize);
    await bridge.printed(/"id":1/);
    const from = performance.now();
    expect((await bridge.stop(signal)).code).toBe(code);
    expect(performance.now() - from).toBeLessThan(3000);
  });
  test("standard input's end: 0; only messages were on standard output", async () => {
    const bridge = start(['bridge', serving.sse], { env: home.env });
    bridge.child.stdin.write(`${initialize}this is no JSON\n`);
    await bridge.printed(/-32700/);
    bridge.child.stdin.end();
    const { code, stdout } = await bridge.finished;
    expect(code).toBe(0);
    for (const line of stdout.split('\n').filter(Boolean))
      expect(JSON.parse(line)).toMatchObject({ jsonrpc: '2.0' });
  });
  test('a closed standard output ends it without a stack', async () => {
    const bridge = start(['bridge', serving.sse], { env: home.env });
    bridge.child.stdin.write(initialize);
    await bridge.printed(/"id":1/);
    bridge.child.stdout.destroy();
    bridge.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'ping' })}\n`);
    const { stderr } = await bridge.finished;
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('serve started by an MCP client', () => {
  test('it is server and bridge in one, and ends with its client', async () => {
    const { client, pid } = await connect(['serve', '--port', '0'], home.env, { elicitation: { url: {} } });
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      void visitAsDemoUser(String((params as { url?: string }).url), 'alice');
      return { action: 'accept' };
    });
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
    await clients.pop()?.close();
    await until('its end', 5000, () => !alive(pid));
  });

  test('the second copy is the bridge to the first one; on a terminal it is an error naming --port', async () => {
    const port = String(serving.port);
    const { client } = await connect(['serve', '--port', port, '--login', 'never']);
    const result = await client.callTool({ name: 'whoami' });
    expect(textOf(result)).toContain(`mcp-whoami login ${serving.sse}`);
    const closed = start(['serve', '--port', port], { env: home.env, input: '' });
    const { code, stderr } = await closed.finished;
    expect(code).toBe(1);
    expect(stderr).toContain('--port');
  });

  test('a second copy to which nobody speaks gives up after 10 s', async () => {
    const silent = start(['serve', '--port', String(serving.port)], { env: home.env });
    const { code, stderr } = await silent.finished;
    expect(code).toBe(1);
    expect(stderr).toContain('--port');
  });

  test('serve --stdio is the bridge', async () => {
    await signIn(serving.sse, home.env);
    const { client } = await connect(['serve', '--stdio', serving.sse]);
    expect(await whoami(client)).toMatchObject({ sub: 'alice' });
  });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
