import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { visit } from './support/http.ts';
import { reply, replyJson, startIssuer } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

describe('a client given in advance', () => {
  it('is used as it is: nothing is registered, any free port', async () => {
    await world.login(world.process(), {}, { clientId: 'given' });
    expect(world.issuer.at('register')).toEqual([]);
    expect(world.issuer.at('authorize')[0]!.query.get('client_id')).toBe('given');
  });

  it('with a secret: client_secret_post where it is listed', async () => {
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    });
    await world.login(world.process(), {}, { clientId: 'given', clientSecret: new Secret('s-1') });
    expect(world.issuer.at('token')[0]!.form.get('client_secret')).toBe('s-1');
  });

  it('with Basic: the encoded form first, the plain one after a 401', async () => {
    const sent: string[] = [];
    world.issuer.behaviour.token = (_form, { headers }) => {
      const credentials = Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64').toString();
      sent.push(credentials);
      return credentials === 'given:s-1_x' ? undefined : reply(401);
    };
    await world.login(world.process(), {}, { clientId: 'given', clientSecret: new Secret('s-1_x') });
    expect(sent).toEqual(['given:s%2D1%5Fx', 'given:s-1_x']);
  });

  it('that takes one of the two ways that its provider lists: found out at the sign-in, kept for the renewals', async () => {
    world.issuer.behaviour.metadata = (it) => ({
      ...it,
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    });
    const sent: string[] = [];
    world.issuer.behaviour.token = (form, { headers }) => {
      sent.push(form.has('client_secret') ? 'post' : (headers.authorization?.split(' ')[0] ?? 'nothing'));
      return headers.authorization ? undefined : replyJson(401, { error: 'invalid_client' });
    };
    await world.login(world.process(), {}, { clientId: 'given', clientSecret: new Secret('s1') });
    const session = createSession(world.process(), world.settings);
    await session.renew(await session.current());
    expect(sent).toEqual(['post', 'Basic', 'Basic']);
  });

  it('unknown at the provider: says what to check', async () => {
    world.issuer.behaviour.token = () => replyJson(401, { error: 'invalid_client' });
    const error = await refusal(world.login(world.process(), {}, { clientId: 'given' }));
    expect(error.code).toBe('sign_in_failed');
    expect(error.hint).toContain('--client-id');
  });

  it(threat('S7', 'its secret goes to the issuer of its first sign-in, to no other'), async () => {
    const settings = { clientId: 'given', clientSecret: new Secret('s1') };
    await world.login(world.process(), {}, settings);
    const evil = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.issuer] });
    const error = await refusal(world.login(world.process(), {}, settings));
    expect(error.code).toBe('metadata_invalid');
    expect(error.hint).toContain('mcp-whoami logout');
    expect(evil.seen.map(({ body, headers }) => body + headers.authorization).join()).not.toContain('s1');
    expect(evil.at('token')).toEqual([]);
  });

  it(
    threat(
      'C21',
      'a server that moved to another issuer gets a new sign-in, said aloud; the old tokens stay away',
    ),
    async () => {
      await world.login(world.process());
      const before = await openTokenStore(world.process(), world.settings).load();
      const other = world.keep(await startIssuer());
      world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [other.issuer] });
      const edges = world.process();
      await world.login(edges);
      expect(edges.lines.join()).toContain('names another authorization server than before');
      const sent = other.seen.map(({ body, path }) => path + body).join();
      expect(sent).not.toContain(before!.refreshToken!.reveal());
      expect(sent).not.toContain(before!.accessToken.reveal());
      expect(sent).not.toContain('client-1&');
    },
  );

  it('client id metadata documents: an https URL is the client id', async () => {
    const seen: string[] = [];
    world.issuer.behaviour.authorize = (back, asked) => {
      seen.push(asked.get('client_id') ?? '');
      return back;
    };
    const url = 'https://client.example/mcp-whoami.json';
    const edges = world.process();
    let asked = '';
    edges.browse = async (address) => {
      asked = address;
      await visit(address.replace(encodeURIComponent(url), 'given'));
    };
    world.issuer.behaviour.token = (form) => {
      expect(form.get('client_id')).toBe(url);
      return replyJson(200, { access_token: 'at', token_type: 'bearer' });
    };
    expect(await world.login(edges, {}, { clientId: url })).toMatchObject({ clientId: url });
    expect(new URL(asked).searchParams.get('client_id')).toBe(url);
    expect(world.issuer.at('register')).toEqual([]);
  });
});
