import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { threat } from '../../support/threats.ts';
import { type Listening, listen, visit } from './support/http.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

/** The evil origin: records everything that reaches it. */
let evil: Listening;
let reached: string[];
let world: World;
beforeEach(async () => {
  world = await createWorld();
  reached = [];
  evil = world.keep(
    await listen(async (request, response) => {
      reached.push(`${request.method} ${request.url}`);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }),
  );
});
afterEach(() => world.close());

/** All that a person, a page, a log or a script could see of a failed sign-in. */
async function seenOf(edges: Process): Promise<{ text: string; code: string }> {
  let page = '';
  edges.browse = async (url) => {
    page = (await visit(url)).body;
  };
  const error = await refusal(world.login(edges));
  await until(() => page !== '' || edges.opened.length === 0);
  return { text: [error.message, error.hint, page, ...edges.lines].join('\n'), code: error.code };
}

/** Our own judgement, before anything is sent: the OAuth library's would come later. */
async function refusedAsForeign(login: Promise<unknown>): Promise<void> {
  const { code, message } = await refusal(login);
  expect(code).toBe('sign_in_failed');
  expect(message).toMatch(/^the answer does not come from .*: it is refused$/);
}

describe('mix-up', () => {
  it.each([
    ['another issuer', (it: Record<string, string>) => ({ ...it, iss: 'https://evil.example' })],
    ['one slash more', (it: Record<string, string>) => ({ ...it, iss: `${it.iss}/` })],
    ['an empty issuer', (it: Record<string, string>) => ({ ...it, iss: '' })],
    ['no issuer, though announced', ({ iss: _, ...it }: Record<string, string>) => it],
  ])(threat('C3', '%s in the response: the code is not redeemed'), async (_name, change) => {
    world.issuer.behaviour.authorize = (back) => change(back) as Record<string, string>;
    await refusedAsForeign(world.login(world.process()));
    expect(world.issuer.at('token')).toEqual([]);
  });

  it(threat('C3', 'a wrong issuer counts although none was announced'), async () => {
    world.issuer.behaviour.metadata = ({ authorization_response_iss_parameter_supported: _, ...it }) => it;
    world.issuer.behaviour.authorize = (back) => ({ ...back, iss: 'https://evil.example' });
    await refusedAsForeign(world.login(world.process()));
    expect(world.issuer.at('token')).toEqual([]);
  });

  it('no issuer is fine where none was announced', async () => {
    world.issuer.behaviour.metadata = ({ authorization_response_iss_parameter_supported: _, ...it }) => it;
    world.issuer.behaviour.authorize = ({ iss: _, ...back }) => back;
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });

  it(threat('C3', 'an evil server with the honest authorization endpoint gets no code'), async () => {
    const liar: Listening = world.keep(
      await listen((request, response) => {
        reached.push(`${request.method} ${request.url}`);
        const document = {
          issuer: `${liar.origin}/x`,
          authorization_endpoint: `${world.issuer.issuer}/authorize`,
          token_endpoint: `${evil.origin}/token`,
          code_challenge_methods_supported: ['S256'],
        };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
      }),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${liar.origin}/x`] });
    await refusedAsForeign(world.login(world.process(), {}, { clientId: 'given' }));
    expect(world.issuer.at('authorize')).toHaveLength(1);
    expect(reached.filter((it) => it.includes('token'))).toEqual([]);
  });
});

it(threat('C4', 'with a wrong issuer nothing of the error is shown'), async () => {
  world.issuer.behaviour.authorize = ({ state }) => ({
    state: state ?? '',
    iss: 'https://evil.example',
    error: 'access_denied',
    error_description: 'call-this-number',
    error_uri: 'https://evil.example/help',
  });
  const { text, code } = await seenOf(world.process());
  expect(code).toBe('sign_in_failed');
  expect(text).not.toMatch(/call-this-number|evil\.example/);
});

it(threat('L7', 'the code of another login is exchanged once, then an honest error'), async () => {
  const other = await createWorld();
  try {
    let code = '';
    other.issuer.behaviour.authorize = (back) => {
      code = back.code ?? '';
      return undefined;
    };
    await refusal(other.login(other.process(), { timeoutMs: 300 }));
    world.issuer.behaviour.authorize = (back) => ({ ...back, code });
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('sign_in_failed');
    expect(world.issuer.at('token')).toHaveLength(1);
  } finally {
    await other.close();
  }
});

it('invalid_target on the redirect names both ways out', async () => {
  world.issuer.behaviour.authorize = ({ state, iss }) => ({
    error: 'invalid_target',
    state: state ?? '',
    iss: iss ?? '',
  });
  const error = await refusal(world.login(world.process()));
  expect(error.code).toBe('invalid_target');
  expect(error.hint).toBe(
    `register ${world.resource.url.href} as an API resource at the provider, or sign in with --resource none`,
  );
});

it(threat('C22', 'a sign-in to one server is never used for another'), async () => {
  await world.login(world.process());
  for (const href of [`${world.resource.origin}/mcp/more`, `${world.resource.origin}/`, evil.origin]) {
    const session = createSession(world.process(), { ...world.settings, server: new URL(href) });
    expect(await session.current()).toBeUndefined();
  }
  const same = createSession(world.process(), {
    ...world.settings,
    server: new URL(`${world.resource.url.href}#x`),
  });
  expect(await same.current()).toBeDefined();
});
