import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Catalogue, openCatalogue } from '../../../src/bridge/catalogue.ts';
import { fetchCatalogue } from '../../../src/bridge/fetch-catalogue.ts';
import { createHttpClient } from '../../../src/lib/http.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { createTokens, memoryStore, startClient, type TestClient, until } from './support/client.ts';
import { type FakeRemote, greeting, type Json, politely, startRemote, tools } from './support/remote.ts';

const saved: Catalogue = {
  transport: 'http',
  initialize: JSON.stringify({ ...greeting, capabilities: { tools: {} }, instructions: 'be kind' }),
  lists: { 'tools/list': JSON.stringify({ tools: [{ name: 'old', inputSchema: { type: 'object' } }] }) },
};
const down = new URL('http://127.0.0.1:9/mcp');
const names = (answer: Json) =>
  (answer.result as { tools: { name: string }[] }).tools.map(({ name }) => name);

let client: TestClient | undefined;
let remote: FakeRemote | undefined;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'catalogue-'));
});
afterEach(async () => {
  await client?.close();
  await remote?.stop();
  rmSync(folder, { recursive: true });
  client = remote = undefined;
});

describe('remote down', () => {
  test('nothing saved: greeted as the client wishes, sign_in alone, other lists empty', async () => {
    client = startClient(down, { tokens: createTokens() });
    const answer = await client.initialize({ protocolVersion: '2025-03-26' });
    expect(answer.result).toMatchObject({
      protocolVersion: '2025-03-26',
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true },
        logging: {},
        completions: {},
      },
    });
    expect(names(await client.request('tools/list'))).toEqual(['sign_in']);
    expect(await client.request('prompts/list')).toMatchObject({ result: { prompts: [] } });
    expect(await client.request('resources/list')).toMatchObject({ result: { resources: [] } });
    expect(await client.request('resources/templates/list')).toMatchObject({
      result: { resourceTemplates: [] },
    });
  });

  test.each([
    ['2025-11-25', '2025-11-25'],
    ['2024-11-05', '2024-11-05'],
    ['2026-07-28', '2025-11-25'],
    ['1.0', '2025-11-25'],
  ])('nothing saved, the client asks for %s: it gets %s', async (asked, given) => {
    client = startClient(down);
    expect(await client.initialize({ protocolVersion: asked })).toMatchObject({
      result: { protocolVersion: given },
    });
  });

  test.each([
    ['2025-11-25', '2025-06-18'],
    ['2025-06-18', '2025-06-18'],
    ['2024-11-05', '2024-11-05'],
  ])('2025-06-18 saved, the client asks for %s: it gets %s', async (asked, given) => {
    client = startClient(down, { catalogue: memoryStore(saved) });
    const { result } = await client.initialize({ protocolVersion: asked });
    expect(result).toMatchObject({
      protocolVersion: given,
      serverInfo: greeting.serverInfo,
      instructions: 'be kind',
      capabilities: { tools: { listChanged: true } },
    });
    expect(names(await client.request('tools/list'))).toEqual(['old']);
  });

  test('ping is answered and server/discover refused, before initialize and at once', async () => {
    client = startClient(down);
    client.send({ id: 'probe', method: 'server/discover', params: {} });
    client.send({ id: 'alive', method: 'ping' });
    expect(await client.answerTo('probe')).toMatchObject({ error: { code: -32601 } });
    expect(await client.answerTo('alive')).toEqual({ jsonrpc: '2.0', id: 'alive', result: {} });
  });

  test('a remote that is there but silent is not waited for longer than 300 ms in all', async () => {
    remote = await startRemote('http', () => {});
    client = startClient(remote.url, { catalogue: memoryStore(saved), timing: { patienceMs: 300 } });
    const before = performance.now();
    await client.initialize();
    expect(names(await client.request('tools/list'))).toEqual(['old']);
    expect(names(await client.request('tools/list'))).toEqual(['old']);
    expect(performance.now() - before).toBeLessThan(5000);
  });

  test('a call is held, then answered with what is wrong and what to do; ping goes on meanwhile', async () => {
    client = startClient(down, { timing: { holdMs: 200 } });
    await client.initialize();
    const answer = client.call();
    await client.request('ping');
    expect(await answer).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringMatching(/nothing listens at .*Next: /) }] },
    });
    expect(await client.request('resources/read', { uri: 'x:y' })).toMatchObject({
      error: { code: -32000, data: { code: 'server_unreachable' } },
    });
  });

  test('it comes up later: what differs is announced, and the catalogue renewed', async () => {
    remote = await startRemote('http');
    await remote.stop();
    const store = memoryStore(saved);
    client = startClient(remote.url, { catalogue: store });
    await client.initialize();
    await client.request('tools/list');
    await remote.restart();
    await client.message(({ method }) => method === 'notifications/tools/list_changed');
    expect(names(await client.request('tools/list'))).toEqual(['echo']);
    await until('the new catalogue', () => store.saved?.lists['tools/list'] === JSON.stringify({ tools }));
    expect(
      client.messages.filter(({ method }) => method === 'notifications/tools/list_changed'),
    ).toHaveLength(1);
  });
});

describe.each(['http', 'sse'] as const)('remote up over %s', (kind) => {
  test('nothing is announced when the lists are what the client was told', async () => {
    remote = await startRemote(kind);
    const store = memoryStore();
    client = startClient(remote.url, { catalogue: store });
    await client.initialize();
    expect(names(await client.request('tools/list'))).toEqual(['echo']);
    await until('a catalogue', () => store.saved?.lists['tools/list'] !== undefined);
    expect(store.saved?.transport).toBe(kind);
    expect(client.messages.some(({ method }) => method?.endsWith('list_changed'))).toBe(false);
  });

  test('kinds of list that it turns out to lack are answered empty, without asking it', async () => {
    let greet = () => {};
    remote = await startRemote(kind, (message, reply) => {
      if (message.method === 'initialize') greet = () => politely(message, reply);
      else politely(message, reply);
    });
    client = startClient(remote.url, { timing: { patienceMs: 100 } });
    await client.initialize();
    await until('initialize at the server', () => remote?.sent('initialize').length === 1);
    greet();
    expect(await client.call()).toMatchObject({ result: {} });
    expect(await client.request('prompts/list')).toMatchObject({ result: { prompts: [] } });
    expect(remote.sent('prompts/list')).toEqual([]);
  });

  test('a list slower than 300 ms is given from the catalogue, and corrected when it has come', async () => {
    let finish = () => {};
    remote = await startRemote(kind, (message, reply) => {
      if (message.method === 'tools/list') finish = () => politely(message, reply);
      else politely(message, reply);
    });
    client = startClient(remote.url, {
      catalogue: memoryStore({ ...saved, transport: kind }),
      timing: { patienceMs: 100 },
    });
    await client.initialize();
    await client.call();
    expect(names(await client.request('tools/list'))).toEqual(['old']);
    remote.onMessage = politely;
    finish();
    await client.message(({ method }) => method === 'notifications/tools/list_changed');
  });

  test('a page is asked from the server, and the catalogue holds all pages', async () => {
    remote = await startRemote(kind, (message, reply) => {
      const cursor = message.params?.cursor;
      if (message.method !== 'tools/list') politely(message, reply);
      else if (cursor === undefined) reply.result({ tools: [{ name: 'a' }], nextCursor: 'two' });
      else reply.result({ tools: [{ name: `b-${cursor}` }] });
    });
    const store = memoryStore();
    client = startClient(remote.url, { catalogue: store });
    await client.initialize();
    expect(await client.request('tools/list')).toMatchObject({ result: { nextCursor: 'two' } });
    expect(names(await client.request('tools/list', { cursor: 'two' }))).toEqual(['b-two']);
    await until(
      'all pages',
      () => store.saved?.lists['tools/list'] === '{"tools":[{"name":"a"},{"name":"b-two"}]}',
    );
    expect(client.messages.some(({ method }) => method?.endsWith('list_changed'))).toBe(false);
  });

  test("the server's own list_changed crosses once, and the catalogue follows", async () => {
    remote = await startRemote(kind);
    const store = memoryStore();
    client = startClient(remote.url, { catalogue: store });
    await client.initialize();
    await client.request('tools/list');
    await until('a stream', () => (remote?.streams.size ?? 0) > 0);
    remote.onMessage = (message, reply) =>
      message.method === 'tools/list' ? reply.result({ tools: [{ name: 'new' }] }) : politely(message, reply);
    remote.say('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}');
    await until('the new list', () => store.saved?.lists['tools/list']?.includes('new') === true);
    expect(client.messages.filter(({ method }) => method?.endsWith('list_changed'))).toHaveLength(1);
  });

  test('login asks once for greeting and lists', async () => {
    remote = await startRemote(kind);
    const http = createHttpClient({ userAgent: 'test/1' });
    const settings = {
      server: remote.url,
      transport: 'auto',
      headers: {},
      timeoutMs: 5000,
      maxMessageBytes: 1e6,
    } as const;
    const fetched = await fetchCatalogue({
      remote: settings,
      tokens: createTokens('t'),
      http,
      log: silentLog,
    });
    http.close();
    expect(fetched).toEqual({
      transport: kind,
      initialize: JSON.stringify(greeting),
      lists: { 'tools/list': JSON.stringify({ tools }) },
    });
  });
});

describe('the saved catalogue', () => {
  test('comes back as it was, for its server and profile only', async () => {
    const server = new URL('https://mcp.example/mcp');
    await openCatalogue(folder, server, 'default').save(saved);
    expect(await openCatalogue(folder, new URL('https://MCP.example:443/mcp'), 'default').load()).toEqual(
      saved,
    );
    expect(await openCatalogue(folder, server, 'work').load()).toBeUndefined();
    expect(
      await openCatalogue(folder, new URL('https://mcp.example/other'), 'default').load(),
    ).toBeUndefined();
  });

  test.each([
    '',
    '{',
    '[]',
    '{"version":2}',
    '{"version":1,"server":"https://mcp.example/mcp","profile":"default","initialize":"x","lists":{}}',
  ])('a file that holds %j is no catalogue', async (content) => {
    const store = openCatalogue(folder, new URL('https://mcp.example/mcp'), 'default');
    await store.save(saved);
    const { readdirSync, writeFileSync } = await import('node:fs');
    const [file] = readdirSync(join(folder, 'catalogue'));
    writeFileSync(join(folder, 'catalogue', file ?? ''), content);
    expect(await store.load()).toBeUndefined();
  });

  test('one that cannot be written is a warning, not an end', async () => {
    remote = await startRemote('http');
    const store = { load: async () => undefined, save: () => Promise.reject(new Error('read-only')) };
    client = startClient(remote.url, { catalogue: store });
    await client.initialize();
    await until('a warning', () => client?.log.some((line) => line.includes('read-only')) === true);
    expect(await client.call()).toMatchObject({ result: {} });
  });
});
