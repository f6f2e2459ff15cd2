import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { createTokens, startClient, type TestClient, until } from './support/client.ts';
import { createPerson } from './support/person.ts';
import { type FakeRemote, type Json, startRemote } from './support/remote.ts';

const textOf = (answer: Json) => (answer.result as { content: { text: string }[] }).content[0]?.text ?? '';
const isError = (answer: Json) => (answer.result as { isError?: boolean } | undefined)?.isError === true;

/** Everybody may come in; calls are for those whose token is `wide`. */
function wantScope(remote: FakeRemote, scopes: () => string = () => 'files:write'): void {
  remote.gate = (request, response) => {
    const isCall = remote.received.at(-1)?.json.method === 'tools/call' && request.method === 'POST';
    if (!isCall || request.headers.authorization === 'Bearer wide') return false;
    const challenge = `Bearer error="insufficient_scope", scope="${scopes()}"`;
    response.writeHead(403, { 'www-authenticate': challenge }).end();
    return true;
  };
}

describe.each(['http', 'sse'] as const)('403 insufficient_scope over %s', (kind) => {
  let remote: FakeRemote;
  let client: TestClient;
  const start = async (how: Parameters<typeof createPerson>[1] = { brings: 'wide' }) => {
    const tokens = createTokens('narrow');
    const person = createPerson(tokens, how);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    return { tokens, person };
  };
  beforeEach(async () => {
    remote = await startRemote(kind);
    wantScope(remote);
  });
  afterEach(async () => {
    await client.close();
    await remote.stop();
  });

  test('one window for several calls, which then run by themselves', async () => {
    const { person } = await start();
    const answers = [client.call({ n: 1 }), client.call({ n: 2 })];
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect((await Promise.all(answers)).map(textOf)).toEqual(['{"n":1}', '{"n":2}']);
    expect(person).toMatchObject({ started: 1, opened: 1, scopes: ['files:write'] });
  });

  test('a sign-in in another process has brought it already: no window', async () => {
    const { tokens, person } = await start();
    const current = tokens.current;
    // What this process still holds.
    const stale = await current();
    tokens.current = async () => stale;
    tokens.value = 'wide';
    tokens.insufficient = async () => {
      tokens.current = current;
      return { replaced: true, scopes: [] };
    };
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
    expect(person.started).toBe(0);
  });

  test('the provider does not grant it: told after one sign-in, and nobody is asked again', async () => {
    const { person } = await start({ brings: 'narrow too' });
    const answer = client.call();
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect(isError(await answer)).toBe(true);
    expect(textOf(await answer)).toContain('also after a sign-in that asked for it');
    expect(textOf(await answer)).toContain('--switch-account');
    expect(textOf(await client.call())).toBe(textOf(await answer));
    expect(person.started).toBe(1);
    expect(remote.sent('tools/call')).toHaveLength(3);
  });

  test('a server that wants something else each time: two windows for a call, no more', async () => {
    let count = 0;
    wantScope(remote, () => `scope-${++count}`);
    const { person } = await start({ brings: 'narrow too' });
    const answer = client.call();
    await until('a window', () => person.opened === 1);
    person.comesBack();
    await until('another window', () => person.opened === 2);
    person.comesBack();
    expect(textOf(await answer)).toContain('wants more scopes');
    expect(person.started).toBe(2);
  });

  test(
    threat('C19', 'a server that wants something else in each call: five windows, then none for a while'),
    async () => {
      let count = 0;
      wantScope(remote, () => `scope-${++count}`);
      const tokens = createTokens('narrow');
      // A provider that is in league with it sends the browser back at once.
      const person = createPerson(tokens, { brings: 'narrow too', atOnce: true });
      client = startClient(remote.url, { tokens, signIn: person.signIn });
      await client.initialize();
      for (let i = 0; i < 6; i++) expect(isError(await client.call({ n: i }))).toBe(true);
      expect(person.opened).toBe(5);
      expect(textOf(await client.call())).toContain('asked for a sign-in again and again');
      expect(person.opened).toBe(5);
    },
  );

  test(
    threat('C19', 'the same scopes in another order, or a part of them, are not asked for again'),
    async () => {
      const wanted = ['b a', 'a b', 'a', 'b'];
      wantScope(remote, () => wanted.shift() ?? 'b');
      const { person } = await start({ brings: 'narrow too', atOnce: true });
      for (let i = 0; i < 3; i++) expect(isError(await client.call())).toBe(true);
      expect(person.scopes).toEqual(['b a']);
    },
  );

  test(threat('C5', 'what a server calls a scope runs nothing in a line to type'), async () => {
    wantScope(remote, () => 'files:write $(touch${IFS}/tmp/x)');
    client = startClient(remote.url, { tokens: createTokens('narrow') });
    await client.initialize();
    const text = textOf(await client.call());
    expect(text).toContain('wants more scopes');
    expect(text.split('mcp-whoami login')[1]).not.toContain('$(');
  });

  test(threat('C17', 'a scope is shown in short'), async () => {
    wantScope(remote, () => `x ${'Your_account_is_locked. '.repeat(100).trim()}`);
    client = startClient(remote.url, { tokens: createTokens('narrow') });
    await client.initialize();
    expect(textOf(await client.call()).length).toBeLessThan(1_000);
  });

  test('the line to type asks for what was granted before as well', async () => {
    client = startClient(remote.url, { tokens: createTokens('narrow') });
    await client.initialize();
    expect(textOf(await client.call())).toContain('--scope "openid files:write"');
  });

  test('a challenge without a scope opens no window', async () => {
    remote.gate = (_, response) => {
      if (remote.received.at(-1)?.json.method !== 'tools/call') return false;
      response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }).end();
      return true;
    };
    const { person } = await start();
    expect(textOf(await client.call())).toContain('wants more scopes');
    expect(person.started).toBe(0);
  });
});

describe('403 insufficient_scope before there is a connection', () => {
  test.each(['http', 'sse'] as const)('%s: the call starts the sign-in and runs', async (kind) => {
    const remote = await startRemote(kind);
    remote.gate = (request, response) => {
      if (request.headers.authorization === 'Bearer wide') return false;
      response.writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="mcp"' }).end();
      return true;
    };
    const tokens = createTokens('narrow');
    const person = createPerson(tokens, { brings: 'wide' });
    const client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answer = client.call({ n: 1 });
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect(textOf(await answer)).toBe('{"n":1}');
    expect(person.scopes).toEqual(['mcp']);
    await client.close();
    await remote.stop();
  });
});
