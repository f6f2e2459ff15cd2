import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AppError } from '../../../src/lib/errors.ts';
import { createTokens, hint, startClient, type TestClient, until } from './support/client.ts';
import { createPerson, url } from './support/person.ts';
import { type FakeRemote, type Json, startRemote } from './support/remote.ts';

const textOf = (answer: Json) => (answer.result as { content: { text: string }[] }).content[0]?.text ?? '';
const isError = (answer: Json) => (answer.result as { isError?: boolean } | undefined)?.isError === true;
let remote: FakeRemote;
let client: TestClient;
beforeEach(async () => {
  remote = await startRemote('http');
  remote.gate = (request, response) => {
    if (request.headers.authorization === 'Bearer fresh') return false;
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    return true;
  };
});
afterEach(async () => {
  await client.close();
  await remote.stop();
});
const showsUrls = { capabilities: { elicitation: { form: {}, url: {} } } };

describe('by the browser', () => {
  test('one window for several calls; they run when the person is back in time', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answers = [client.call({ n: 1 }), client.call({ n: 2 })];
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect((await Promise.all(answers)).map(textOf)).toEqual(['{"n":1}', '{"n":2}']);
    expect(person).toMatchObject({ started: 1, opened: 1 });
  });

  test('the placeholder gives way to the real list, announced', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    expect(JSON.stringify(await client.request('tools/list'))).toContain('"sign_in"');
    const answer = client.request('tools/call', { name: 'sign_in' });
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect(textOf(await answer)).toContain('You are signed in');
    await client.message(({ method }) => method === 'notifications/tools/list_changed');
    expect(JSON.stringify(await client.request('tools/list'))).toContain('"echo"');
    expect(remote.sent('tools/call')).toEqual([]);
  });

  test('no browser to be started: the answer comes at once, with the URL and the line to type', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens, { browser: false });
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answer = await client.call();
    expect(isError(answer)).toBe(true);
    expect(textOf(answer)).toContain(url);
    expect(textOf(answer)).toContain(hint);
    person.comesBack();
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
  });

  test('the person takes longer than a client waits: an answer, and the call after the sign-in works', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    const timing = { patienceMs: 5000, signInMs: 50 };
    client = startClient(remote.url, { tokens, signIn: person.signIn, timing });
    await client.initialize();
    const late = await client.call();
    expect(isError(late)).toBe(true);
    expect(textOf(late)).toContain('is open in your browser');
    expect(textOf(late)).toContain(url);
    expect(textOf(late)).toContain(hint);
    expect(textOf(await client.call())).toBe(textOf(late));
    expect(person).toMatchObject({ started: 1, opened: 1, cancelled: 0 });
    person.comesBack();
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
  });

  test('a person who takes longer than calls are held for a connection is asked once, and the call runs', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    const timing = { patienceMs: 5000, holdMs: 100 };
    client = startClient(remote.url, { tokens, signIn: person.signIn, timing });
    await client.initialize();
    const began = performance.now();
    const answer = client.call({ n: 1 });
    await until('a window', () => person.opened === 1);
    await until('more time than calls are held', () => performance.now() - began > 400);
    person.comesBack();
    expect(textOf(await answer)).toBe('{"n":1}');
    expect(person).toMatchObject({ started: 1, opened: 1 });
  });

  test('another process shows the window: the answer points there', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens, { joined: true });
    client = startClient(remote.url, {
      tokens,
      signIn: person.signIn,
      timing: { patienceMs: 5000, signInMs: 50 },
    });
    await client.initialize();
    expect(textOf(await client.call())).toContain('in another window');
    expect(person.opened).toBe(0);
  });

  test('the process ends meanwhile: the sign-in is left to others, not cancelled', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answer = client.call();
    await until('a window', () => person.opened === 1);
    await client.bridge.close('the process is being stopped');
    expect(isError(await answer)).toBe(true);
    expect(person).toMatchObject({ left: 1, cancelled: 0 });
  });

  test('denied: the answer says so, and the next call may ask again', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answer = client.call();
    await until('a window', () => person.opened === 1);
    person.givesUp(new AppError('sign_in_denied', 'the sign-in was denied'));
    expect(textOf(await answer)).toBe(`the sign-in was denied. Next: ${hint}`);
    void client.call();
    await until('a second window', () => person.opened === 2);
  });

  test('a call that is cancelled while the person signs in is not sent afterwards', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    client.send({ id: 'x', method: 'tools/call', params: { name: 'echo', arguments: { n: 'never' } } });
    await until('a window', () => person.opened === 1);
    client.send({ method: 'notifications/cancelled', params: { requestId: 'x' } });
    person.comesBack();
    await client.call({ n: 1 });
    expect(remote.sent('tools/call')).toHaveLength(1);
    expect(client.messages.some(({ id }) => id === 'x')).toBe(false);
  });

  test('progress tells a client that gave a token that the call is alive', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize();
    const answer = client.call({}, { progressToken: 'p' });
    const told = await client.message(({ method }) => method === 'notifications/progress');
    expect(told.params).toMatchObject({ progressToken: 'p', message: expect.stringContaining('sign-in') });
    person.comesBack();
    await answer;
  });
});

describe('by the client (URL elicitation)', () => {
  const start = async (how = {}) => {
    const tokens = createTokens();
    const person = createPerson(tokens, how);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize(showsUrls);
    return person;
  };

  test('asked once, told when it is complete, and the call runs', async () => {
    const person = await start();
    const answers = [client.call({ n: 1 }), client.call({ n: 2 })];
    const asked = await client.message(({ method }) => method === 'elicitation/create');
    expect(asked.params).toMatchObject({
      mode: 'url',
      url,
      message: expect.stringContaining(remote.url.host),
    });
    client.send({ id: asked.id, result: { action: 'accept' } });
    person.comesBack();
    expect((await Promise.all(answers)).map(textOf)).toEqual(['{"n":1}', '{"n":2}']);
    const complete = client.messages.findIndex(
      ({ method }) => method === 'notifications/elicitation/complete',
    );
    expect(client.messages[complete]?.params?.elicitationId).toBe(asked.params?.elicitationId);
    expect(client.messages.filter(({ method }) => method === 'elicitation/create')).toHaveLength(1);
    expect(person.opened).toBe(0);
  });

  test('a question that nobody answered before the sign-in was complete is withdrawn', async () => {
    const person = await start();
    const answer = client.call();
    const asked = await client.message(({ method }) => method === 'elicitation/create');
    person.comesBack();
    await answer;
    const withdrawn = await client.message(({ method }) => method === 'notifications/cancelled');
    expect(withdrawn.params?.requestId).toBe(asked.id);
  });

  test.each(['decline', 'cancel'])(
    '%s: the attempt ends, the answer has the line to type',
    async (action) => {
      const person = await start();
      const answer = client.call();
      const asked = await client.message(({ method }) => method === 'elicitation/create');
      client.send({ id: asked.id, result: { action } });
      expect(isError(await answer)).toBe(true);
      expect(textOf(await answer)).toContain(hint);
      expect(person).toMatchObject({ cancelled: 1, opened: 0 });
    },
  );

  test('a client that cannot do it after all: the browser', async () => {
    const person = await start();
    const answer = client.call({ n: 1 });
    const asked = await client.message(({ method }) => method === 'elicitation/create');
    client.send({ id: asked.id, error: { code: -32601, message: 'Method not found' } });
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect(textOf(await answer)).toBe('{"n":1}');
  });

  test('form mode alone is not URL mode', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    await client.initialize({ capabilities: { elicitation: {} } });
    void client.call();
    await until('a window', () => person.opened === 1);
    expect(client.messages.some(({ method }) => method === 'elicitation/create')).toBe(false);
  });
});

describe('never', () => {
  test('--login never: a result with the line to type, other requests -32002, ping alive', async () => {
    client = startClient(remote.url, { tokens: createTokens() });
    await client.initialize();
    const answer = await client.call();
    expect(isError(answer)).toBe(true);
    expect(textOf(answer)).toContain(hint);
    expect(await client.request('prompts/get', { name: 'x' })).toMatchObject({ error: { code: -32002 } });
    expect(await client.request('ping')).toMatchObject({ result: {} });
  });

  test('signed in elsewhere in the meantime: the next call works', async () => {
    const tokens = createTokens();
    client = startClient(remote.url, { tokens });
    await client.initialize();
    expect(isError(await client.call())).toBe(true);
    tokens.value = 'fresh';
    expect(textOf(await client.call({ n: 1 }))).toBe('{"n":1}');
  });

  test.each(['keychain_locked', 'issuer_unreachable', 'token_rejected'] as const)(
    '%s is told in the answer, without a sign-in',
    async (code) => {
      const person = createPerson(createTokens());
      const tokens = {
        current: () => Promise.reject(new AppError(code, 'the reason', { hint: 'the way out' })),
        renew: () => Promise.reject(new AppError(code, 'not reached')),
        insufficient: () => Promise.reject(new AppError(code, 'not reached')),
      };
      client = startClient(remote.url, { tokens, signIn: person.signIn });
      await client.initialize();
      expect(textOf(await client.call())).toBe('the reason. Next: the way out');
      expect(person.started).toBe(0);
    },
  );

  test('public initialize, protected tool: the call alone starts the sign-in', async () => {
    const tokens = createTokens();
    const person = createPerson(tokens);
    remote.gate = (request, response) => {
      const refused = remote.received.at(-1)?.json.method === 'tools/call' && !request.headers.authorization;
      if (refused) response.writeHead(401).end();
      return refused;
    };
    client = startClient(remote.url, { tokens, signIn: person.signIn });
    expect(await client.initialize()).toMatchObject({ result: { serverInfo: { name: 'fake' } } });
    const answer = client.call({ n: 1 });
    await until('a window', () => person.opened === 1);
    person.comesBack();
    expect(textOf(await answer)).toBe('{"n":1}');
  });
});
