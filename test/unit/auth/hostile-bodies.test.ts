import { createServer as createTcpServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { threat } from '../../support/threats.ts';
import { listen } from './support/http.ts';
import { reply } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

describe('bodies', () => {
  const endless = (response: import('node:http').ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    const more = () => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };

  it(threat('C13', 'metadata without end is cut off'), async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      if (!url.pathname.startsWith('/.well-known')) return undefined;
      endless(response);
      return true;
    };
    expect((await refusal(world.login(world.process()))).code).toBe('server_unreachable');
  });

  it(threat('C13', 'a token answer without end is cut off'), async () => {
    world.issuer.behaviour.token = () => endless;
    expect((await refusal(world.login(world.process()))).code).toBe('issuer_unreachable');
  });

  it(threat('C13', 'compressed answers, never asked for, are refused unread'), async () => {
    const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024));
    world.issuer.behaviour.token = () => (response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    expect((await refusal(world.login(world.process()))).code).toBe('remote_error');
  });

  it.each([
    ['too long', 'x'.repeat(16 * 1024 + 1)],
    ['with a line break', 'a\r\nX-Evil: 1'],
    ['with a space', 'a b'],
    ['not ASCII', 'tøken'],
  ])(threat('C18', 'a token %s is refused'), async (_name, token) => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, access_token: token });
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
    expect(world.shared.entries.size).toBe(0);
  });

  it.each(['mac', 'DPoP'])('a token of the type %s is refused', async (type) => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, token_type: type });
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
  });

  it(threat('C13', 'an authorization URL of more than 8 KiB is refused'), async () => {
    world.resource.behaviour.challenge = 'realm="x"';
    world.resource.behaviour.metadata = (it) => ({
      ...it,
      scopes_supported: Array.from({ length: 400 }, (_, i) => `scope-number-${i}-of-many`),
    });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toMatch(/metadata_invalid|usage/);
    expect(edges.opened).toEqual([]);
  });

  it(threat('C13', 'a silent server is given up'), async () => {
    const silent = createTcpServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as import('node:net').AddressInfo;
    const error = await refusal(
      world.login(world.process(), { timeoutMs: 300 }, { server: new URL(`http://127.0.0.1:${port}/mcp`) }),
    );
    expect(error.code).toBe('sign_in_timeout');
    silent.close();
  });
});

describe('documents', () => {
  it.each([
    ['very deep', `${'{"a":'.repeat(2_000_000)}1${'}'.repeat(2_000_000)}`.slice(0, 900_000)],
    ['an array', '[1]'],
    ['a number', '1'],
    ['half a document', '{"issuer":'],
  ])(threat('C16', 'issuer metadata that is %s is refused'), async (_name, body) => {
    const strange = world.keep(
      await listen((_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(body),
      ),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${strange.origin}/x`] });
    expect((await refusal(world.login(world.process()))).code).toBe('metadata_invalid');
  });

  it(threat('C16', 'a very deep token answer is refused'), async () => {
    world.issuer.behaviour.token = () => reply(200, `${'['.repeat(400_000)}`);
    expect((await refusal(world.login(world.process()))).code).toBe('issuer_unreachable');
  });
});
