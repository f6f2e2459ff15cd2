import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { threat } from '../../support/threats.ts';
import { listen } from './support/http.ts';
import { reply, replyJson, startIssuer } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const registrations = () => readFile(join(world.configDir, 'registrations.json'), 'utf8');
const redirectUris = () => world.issuer.at('authorize').map(({ query }) => query.get('redirect_uri'));

describe('dynamic registration', () => {
  it('registers a native public client with the exact redirect URI', async () => {
    await world.login(world.process());
    expect(JSON.parse(world.issuer.at('register')[0]!.body)).toMatchObject({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: redirectUris(),
    });
  });

  it('is done once: the next sign-in uses it again, on the same port', async () => {
    await world.login(world.process());
    await world.login(world.process(), {}, { profile: 'other' });
    expect(world.issuer.at('register')).toHaveLength(1);
    const [first, second] = redirectUris();
    expect(second).toBe(first);
  });

  it('is done anew when that port is taken', async () => {
    await world.login(world.process());
    const port = Number(new URL(redirectUris()[0]!).port);
    const { createServer } = await import('node:net');
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    try {
      await world.login(world.process());
      expect(world.issuer.at('register')).toHaveLength(2);
      expect(redirectUris()[1]).not.toBe(redirectUris()[0]);
    } finally {
      squatter.close();
    }
  });

  it('is done anew, before the browser opens, when the issuer forgot the client', async () => {
    await world.login(world.process());
    world.issuer.forgetClients();
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.opened).toHaveLength(1);
    expect(world.issuer.at('register')).toHaveLength(2);
  });

  it('refused: registration_failed, with the way out', async () => {
    world.issuer.behaviour.register = () =>
      replyJson(403, { error: 'access_denied', error_description: 'no\u001b[31m' });
    const edges = world.process();
    const error = await refusal(world.login(edges));
    expect(error.code).toBe('registration_failed');
    expect(error.message).toContain('access_denied: no');
    expect(error.message).not.toContain('\u001b');
    expect(error.hint).toContain('--client-id');
    expect(edges.opened).toEqual([]);
  });

  it('not offered: registration_failed, with the way out', async () => {
    world.issuer.behaviour.metadata = ({ registration_endpoint: _, ...it }) => it;
    const error = await refusal(world.login(world.process()));
    expect(error.code).toBe('registration_failed');
    expect(error.hint).toContain('--client-id');
  });

  it('broken: issuer_unreachable', async () => {
    world.issuer.behaviour.register = () => reply(503);
    expect((await refusal(world.login(world.process()))).code).toBe('issuer_unreachable');
  });

  it(threat('C20', 'changed redirect URIs in the answer count for nothing; status 200 is fine'), async () => {
    world.issuer.behaviour.register = () =>
      replyJson(200, { client_id: 'given', redirect_uris: ['https://evil.example/'], scope: 'admin' });
    await world.login(world.process());
    expect(redirectUris()[0]).toMatch(/^http:\/\/127\.0\.0\.1:/);
    expect(world.issuer.at('authorize')[0]!.query.get('scope')).not.toContain('admin');
    // Nor later: the registration is found again under the address that we sent.
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(1);
    expect(redirectUris()[1]).toBe(redirectUris()[0]);
  });

  it.each([
    ['no client id', {}],
    ['an empty one', { client_id: '' }],
    ['a huge one', { client_id: 'x'.repeat(3000) }],
    ['one with a line break', { client_id: 'x\r\n&scope=admin' }],
  ])(threat(['C18', 'C20'], '%s is refused'), async (_name, answer) => {
    world.issuer.behaviour.register = () => replyJson(201, answer);
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('registration_failed');
    expect(edges.opened).toEqual([]);
  });

  it('a secret goes into the vault, is used at the token endpoint, and is in no file', async () => {
    world.issuer.behaviour.register = () =>
      replyJson(201, {
        client_id: 'given',
        client_secret: 'dcr-secret',
        client_secret_expires_at: 0,
        token_endpoint_auth_method: 'client_secret_post',
      });
    await world.login(world.process());
    expect(world.issuer.at('token')[0]!.form.get('client_secret')).toBe('dcr-secret');
    expect(await registrations()).not.toContain('dcr-secret');
    await world.login(world.process());
    expect(world.issuer.at('register')).toHaveLength(1);
    const exchanges = world.issuer.at('token').filter(({ form }) => form.has('code'));
    expect(exchanges[1]!.form.get('client_secret')).toBe('dcr-secret');
  });

  it('asks for no method where `none` is not listed, and takes what comes', async () => {
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
    });
    world.issuer.behaviour.register = (asked) => {
      expect(asked).not.toHaveProperty('token_endpoint_auth_method');
      return replyJson(201, { client_id: 'given', client_secret: 'basic' });
    };
    await world.login(world.process());
    const { headers } = world.issuer.at('token')[0]!;
    expect(headers.authorization).toBe(`Basic ${Buffer.from('given:basic').toString('base64')}`);
  });

  it(threat('C20', 'registrations are kept by issuer'), async () => {
    await world.login(world.process());
    const other = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [other.issuer] });
    await world.login(world.process());
    expect(Object.keys(JSON.parse(await registrations()))).toEqual([world.issuer.issuer, other.issuer]);
    expect(other.at('register')).toHaveLength(1);
  });

  it('a broken file of registrations is started anew', async () => {
    await writeFile(join(world.configDir, 'registrations.json'), '{"half');
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'alice' });
    expect(edges.lines.join()).toContain('registered anew');
  });
});

it('a fixed port that is taken: port_taken, before anything is registered', async () => {
  const other = world.keep(await listen(() => {}));
  expect((await refusal(world.login(world.process(), {}, { redirectPort: other.port }))).code).toBe(
    'port_taken',
  );
  expect(world.issuer.at('register')).toEqual([]);
});
