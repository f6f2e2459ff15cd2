import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, until, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
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

describe('what comes from outside is made fit to be shown', () => {
  const nasty = 'red\u001b[31m\u009b31m\u202egnp.exe\r\nmcp-whoami: forged line\u2066 end';
  const unfit = /[\u001b\u009b\u202e\u2066\r]/;

  it.each<[string, () => void]>([
    [
      'error_description on the redirect',
      () => {
        world.issuer.behaviour.authorize = ({ state, iss }) => ({
          error: 'server_error',
          error_description: nasty,
          state: state ?? '',
          iss: iss ?? '',
        });
      },
    ],
    [
      'error on the redirect',
      () => {
        world.issuer.behaviour.authorize = ({ state, iss }) => ({
          error: nasty,
          state: state ?? '',
          iss: iss ?? '',
        });
      },
    ],
    [
      'error_description of the token endpoint',
      () => {
        world.issuer.behaviour.token = () => replyJson(400, { error: nasty, error_description: nasty });
      },
    ],
    [
      'an issuer in metadata',
      () => {
        world.issuer.behaviour.metadata = (it) => ({ ...it, issuer: nasty });
      },
    ],
    [
      'a resource in metadata',
      () => {
        world.resource.behaviour.metadata = (it) => ({ ...it, resource: nasty });
      },
    ],
    [
      'an error of the registration endpoint',
      () => {
        world.issuer.behaviour.register = () => replyJson(400, { error: nasty, error_description: nasty });
      },
    ],
  ])(threat('C17', '%s'), async (_name, arrange) => {
    arrange();
    const { text } = await seenOf(world.process());
    expect(text).not.toMatch(unfit);
    expect(text).not.toMatch(/^mcp-whoami: forged/m);
  });

  it(threat('C17', 'a name in the claims'), async () => {
    world.issuer.behaviour.userinfo = () => replyJson(200, { sub: 'a', name: nasty });
    world.issuer.behaviour.grant = ({ id_token: _, ...rest }) => rest;
    const signedIn = await world.login(world.process());
    expect(JSON.stringify(signedIn)).not.toMatch(unfit);
    expect(JSON.stringify([...world.shared.index.values()])).not.toMatch(unfit);
  });
});

describe('secrets in no text', () => {
  it(threat('S3', 'a provider that echoes the code and the verifier'), async () => {
    world.issuer.behaviour.token = (form) =>
      replyJson(400, {
        error: 'invalid_grant',
        error_description: `code ${form.get('code')} verifier ${form.get('code_verifier')}`,
      });
    const { text } = await seenOf(world.process());
    const { form } = world.issuer.at('token')[0]!;
    expect(text).toContain('[redacted]');
    expect(text).not.toContain(form.get('code'));
    expect(text).not.toContain(form.get('code_verifier'));
  });

  it.each<[string, (form: URLSearchParams) => ReturnType<typeof replyJson>]>([
    ['as its error', (form) => replyJson(400, { error: `${form.get('code')} ${form.get('code_verifier')}` })],
    [
      'in a redirect',
      (form) => reply(307, '', { location: `https://evil.example/${form.get('code')}?${form}` }),
    ],
    [
      'in a body that is no JSON',
      (form) =>
        reply(200, `${form.get('code_verifier')?.slice(0, 24)}`, { 'content-type': 'application/json' }),
    ],
  ])(threat('S3', 'a provider that echoes them %s: not even in the private causes'), async (_name, reply) => {
    world.issuer.behaviour.token = reply;
    const edges = world.process();
    const error = await refusal(world.login(edges));
    const chain: string[] = [];
    for (let it: unknown = error; it instanceof Error; it = it.cause) chain.push(it.message, it.stack ?? '');
    const text = [...chain, error.hint, ...edges.lines].join('\n');
    const { form } = world.issuer.at('token')[0]!;
    expect(text).not.toContain(form.get('code'));
    expect(text).not.toContain(form.get('code_verifier')?.slice(0, 24));
  });

  it.each<[string, (form: URLSearchParams, authorization: string) => string]>([
    ['the form as it came', (form) => String(form)],
    ['its values, percent-encoded', (form) => [...form.values()].map(encodeURIComponent).join(' ')],
    ['the Authorization header', (_, authorization) => authorization],
    ['what is in it', (_, authorization) => authorization.replace('Basic ', '')],
    ['what that says', (_, authorization) => Buffer.from(authorization.slice(6), 'base64').toString()],
  ])(threat('S3', 'a provider that echoes %s'), async (_name, echo) => {
    const clientSecret = 'se+cr/et==with:odd&characters';
    world.issuer.behaviour.authorize = (back) => ({ ...back, code: 'co+de/with==odd&characters' });
    world.issuer.behaviour.token = (form, { headers }) =>
      replyJson(400, { error: 'invalid_grant', error_description: echo(form, headers.authorization ?? '') });
    const edges = world.process();
    const settings = { clientId: 'given', clientSecret: new Secret(clientSecret) };
    const error = await refusal(world.login(edges, {}, settings));
    const text = [error.message, error.hint, ...edges.lines].join('\n');
    expect(text).toContain('[redacted]');
    for (const word of [clientSecret, 'co+de/with==odd&characters']) {
      for (const form of [word, encodeURIComponent(word), String(new URLSearchParams({ '': word })).slice(1)])
        expect(text).not.toContain(form);
    }
    for (const { headers } of world.issuer.at('token'))
      expect(text).not.toContain(headers.authorization?.slice(6));
  });

  it(threat('S3', 'a provider that echoes the refresh token'), async () => {
    await world.login(world.process());
    const set = await openTokenStore(world.process(), world.settings).load();
    const secret = set!.refreshToken!.reveal();
    world.issuer.behaviour.token = () =>
      replyJson(400, { error: 'invalid_request', error_description: `bad ${secret}` });
    const edges = world.process();
    const session = createSession(edges, world.settings);
    const error = await refusal(session.renew(await session.current()));
    const chain: string[] = [];
    for (let it: unknown = error; it instanceof Error; it = it.cause) chain.push(it.message, it.stack ?? '');
    expect([...chain, error.hint, ...edges.lines].join()).not.toContain(secret);
  });

  it(threat('S3', 'a whole sign-in at debug level logs no token, code, state or verifier'), async () => {
    const edges = world.process();
    await world.login(edges);
    const set = await openTokenStore(world.process(), world.settings).load();
    const { form } = world.issuer.at('token')[0]!;
    const state = world.issuer.at('authorize')[0]!.query.get('state');
    const secrets = [
      set!.accessToken.reveal(),
      set!.refreshToken!.reveal(),
      form.get('code'),
      form.get('code_verifier'),
      state,
    ];
    for (const secret of secrets) expect(edges.lines.join('\n')).not.toContain(secret);
  });
});
