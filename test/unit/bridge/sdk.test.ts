import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startClient, type TestClient, until } from './support/client.ts';
import { createSdkClient, type SdkServer, startSdkServer } from './support/sdk.ts';

describe.each(['http', 'sse'] as const)("the SDK's client and the SDK's server over %s", (kind) => {
  let server: SdkServer;
  let bridge: TestClient['bridge'];
  let sdk: ReturnType<typeof createSdkClient>;
  beforeEach(async () => {
    server = await startSdkServer(kind);
    sdk = createSdkClient({ sampling: {}, elicitation: {}, roots: { listChanged: true } });
    ({ bridge } = startClient(server.url, { input: sdk.input, output: sdk.output }));
    await sdk.client.connect(sdk.transport);
  });
  afterEach(async () => {
    await sdk.client.close();
    await bridge.closed;
    await server.stop();
  });
  const textOf = (result: object) => (result as { content: { text: string }[] }).content[0]?.text ?? '';

  test('names, capabilities, lists and resources are those of the server', async () => {
    expect(sdk.client.getServerVersion()?.name).toBe('sdk');
    expect((await sdk.client.listTools()).tools.map(({ name }) => name)).toEqual(['progress', 'ask', 'wait']);
    expect(await sdk.client.readResource({ uri: 'note://one' })).toMatchObject({
      contents: [{ text: 'hi' }],
    });
    await sdk.client.ping();
    expect(server.last().server.getClientVersion()?.name).toBe('sdk-client');
  });

  test('progress arrives before the answer, all of it', async () => {
    const seen: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void seen.push(progress);
    const result = await sdk.client.callTool({ name: 'progress' }, undefined, { onprogress });
    expect(textOf(result)).toBe('done');
    expect(seen).toEqual([1, 2, 3]);
  });

  test('sampling, elicitation and roots cross, and their answers come back', async () => {
    sdk.client.setRequestHandler(CreateMessageRequestSchema, async () => ({
      role: 'assistant',
      model: 'm1',
      content: { type: 'text', text: 'x' },
    }));
    sdk.client.setRequestHandler(ElicitRequestSchema, async () => ({
      action: 'accept',
      content: { name: 'bob' },
    }));
    sdk.client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///r' }] }));
    expect(JSON.parse(textOf(await sdk.client.callTool({ name: 'ask' })))).toEqual({
      model: 'm1',
      elicited: { action: 'accept', content: { name: 'bob' } },
      roots: [{ uri: 'file:///r' }],
    });
  });

  test('a cancelled call ends at the server', async () => {
    const stop = new AbortController();
    const call = sdk.client.callTool({ name: 'wait' }, undefined, { signal: stop.signal });
    const refused = expect(call).rejects.toThrow();
    await sdk.client.ping();
    await sdk.client.listTools();
    stop.abort();
    await refused;
    await until('the end at the server', () => server.cancelled() === 1);
  });

  test('list_changed and logging of the server arrive by themselves', async () => {
    let changed = 0;
    const logged: unknown[] = [];
    sdk.client.setNotificationHandler(ToolListChangedNotificationSchema, () => void changed++);
    sdk.client.setNotificationHandler(
      LoggingMessageNotificationSchema,
      ({ params }) => void logged.push(params.data),
    );
    await sdk.client.listTools();
    server.last().registerTool('more', { description: 'later' }, async () => ({ content: [] }));
    await server.last().server.sendLoggingMessage({ level: 'info', data: 'hello' });
    await until('both', () => changed === 1 && logged[0] === 'hello');
    expect((await sdk.client.listTools()).tools.map(({ name }) => name)).toContain('more');
  });
});
