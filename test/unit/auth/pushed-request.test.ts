import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { listen } from './support/http.ts';
import { reply, replyJson } from './support/issuer.ts';
import { createWorld, type Process, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld({ pushedOnly: true });
});
afterEach(() => world.close());

const pushes = () => world.issuer.at('par');
const asked = (edges: Process) => [...new URL(edges.opened[0] ?? '').searchParams.keys()].sort();

describe('when a request is pushed', () => {
  it('demanded by the metadata: the browser carries nothing but the name of the request', async () => {
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(asked(edges)).toEqual(['client_id', 'request_uri']);
    const form = pushes()[0]?.form;
    expect(Object.fromEntries(form ?? [])).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      resource: world.resource.url.href,
      scope: 'openid profile offline_access',
      client_id: 'client-1',
    });
    expect(form?.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/);
    for (const name of ['state', 'nonce', 'code_challenge']) expect(form?.get(name)).toMatch(/^[\w-]{43}$/);
  });

  it('merely offered: it is not', async () => {
    world.issuer.behaviour.pushedOnly = false;
    const edges = world.process();
    await world.login(edges);
    expect(pushes()).toEqual([]);
    expect(asked(edges)).toContain('code_challenge');
  });

  it('demanded by the registration: it is, also when the registration is used again', async () => {
    world.issuer.behaviour.pushedOnly = false;
    world.issuer.behaviour.registered = { require_pushed_authorization_requests: true };
    await world.login(world.process());
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(1);
    expect(pushes()).toHaveLength(2);
  });

  it('demanded by metadata without an endpoint for it: refused, no browser', async () => {
    world.issuer.behaviour.metadata = ({ pushed_authorization_request_endpoint: _, ...rest }) => rest;
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(edges.opened).toEqual([]);
  });

  it.each(['http://attacker.test/par', 'https://169.254.169.254/par'])(
    threat(['C7', 'C8'], 'pushing to %s is refused'),
    async (endpoint) => {
      world.issuer.behaviour.metadata = (honest) => ({
        ...honest,
        pushed_authorization_request_endpoint: endpoint,
      });
      const edges = world.process();
      expect((await refusal(world.login(edges))).code).toBe('insecure_url');
      expect(edges.opened).toEqual([]);
    },
  );

  it.each([
    ['client_secret_basic', /^Basic /, null],
    ['client_secret_post', undefined, 'S3cret'],
  ])('the client proves itself as at the token endpoint: %s', async (method, header, secret) => {
    world.issuer.behaviour.metadata = (honest) => ({
      ...honest,
      token_endpoint_auth_methods_supported: [method],
    });
    const given = { clientId: 'given', clientSecret: new Secret('S3cret') };
    await world.login(world.process(), {}, given);
    const { headers, form } = pushes()[0] ?? {};
    if (header) expect(headers?.authorization).toMatch(header);
    expect(form?.get('client_secret')).toBe(secret);
  });
});

describe('a push that is refused', () => {
  it.each([
    ['invalid_target', replyJson(400, { error: 'invalid_target' }), 'invalid_target', '--resource none'],
    ['invalid_scope', replyJson(400, { error: 'invalid_scope' }), 'sign_in_failed', '--scope'],
    ['a page with status 400', reply(400, '<h1>no</h1>'), 'sign_in_failed', '--client-id'],
    ['status 503', reply(503), 'issuer_unreachable', 'try again later'],
    ['a page with status 201', reply(201, '<h1>ok</h1>'), 'issuer_unreachable', 'try again later'],
    ['no lifetime', replyJson(201, { request_uri: 'urn:x' }), 'sign_in_failed', 'operator'],
    [
      'an address of 10,000 characters',
      replyJson(201, { request_uri: 'x'.repeat(10_000), expires_in: 9 }),
      'metadata_invalid',
      '--scope',
    ],
  ])('%s: no browser opens', async (_what, answer, code, hint) => {
    world.issuer.behaviour.push = () => answer;
    const edges = world.process();
    const error = await refusal(world.login(edges));
    expect(error.code).toBe(code);
    expect(error.hint).toContain(hint);
    expect(edges.opened).toEqual([]);
  });

  it(threat('C9', 'a redirect of a push carries nothing to another origin'), async () => {
    const reached: string[] = [];
    const evil = world.keep(
      await listen((request, response) => {
        reached.push(request.url ?? '');
        response.writeHead(201).end();
      }),
    );
    world.issuer.behaviour.push = () => reply(307, '', { location: `${evil.origin}/par` });
    expect((await refusal(world.login(world.process()))).code).toBe('remote_error');
    expect(reached).toEqual([]);
  });

  it(threat('S3', 'a provider that echoes the secret in its refusal of a push'), async () => {
    world.issuer.behaviour.push = (form) =>
      replyJson(400, { error: 'x', error_description: `no ${form.get('client_secret')}` });
    world.issuer.behaviour.metadata = (honest) => ({
      ...honest,
      token_endpoint_auth_methods_supported: ['client_secret_post'],
    });
    const given = { clientId: 'given', clientSecret: new Secret('S3cret') };
    const error = await refusal(world.login(world.process(), {}, given));
    expect(error.message).toContain('[redacted]');
    expect(error.message).not.toContain('S3cret');
  });

  it('a forgotten client is registered anew in the same go, and once only', async () => {
    await world.login(world.process());
    world.issuer.forgetClients();
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.opened).toHaveLength(1);
    world.issuer.behaviour.push = () => replyJson(401, { error: 'invalid_client' });
    world.issuer.seen.length = 0;
    expect((await refusal(world.login(world.process()))).code).toBe('registration_failed');
    expect(world.issuer.at('register')).toHaveLength(1);
    expect(pushes()).toHaveLength(2);
  });
});
