import { createServer as createTcpServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession } from '../../../src/auth/session.ts';
import { openTokenStore } from '../../../src/auth/token-store.ts';
import { type Listening, listen, visit } from './support/http.ts';
import { reply, replyJson } from './support/issuer.ts';
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

describe('C3: mix-up', () => {
  it.each([
    ['another issuer', (it: Record<string, string>) => ({ ...it, iss: 'https://evil.example' })],
    ['one slash more', (it: Record<string, string>) => ({ ...it, iss: `${it.iss}/` })],
    ['an empty issuer', (it: Record<string, string>) => ({ ...it, iss: '' })],
    ['no issuer, though announced', ({ iss: _, ...it }: Record<string, string>) => it],
  ])('%s in the response: the code is not redeemed', async (_name, change) => {
    world.issuer.behaviour.authorize = (back) => change(back) as Record<string, string>;
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
    expect(world.issuer.at('token')).toEqual([]);
  });

  it('a wrong issuer counts although none was announced', async () => {
    world.issuer.behaviour.metadata = ({ authorization_response_iss_parameter_supported: _, ...it }) => it;
    world.issuer.behaviour.authorize = (back) => ({ ...back, iss: 'https://evil.example' });
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
    expect(world.issuer.at('token')).toEqual([]);
  });

  it('no issuer is fine where none was announced', async () => {
    world.issuer.behaviour.metadata = ({ authorization_response_iss_parameter_supported: _, ...it }) => it;
    world.issuer.behaviour.authorize = ({ iss: _, ...back }) => back;
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });

  it('an evil server with the honest authorization endpoint gets no code', async () => {
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
    const error = await refusal(world.login(world.process(), {}, { clientId: 'given' }));
    expect(error.code).toBe('sign_in_failed');
    expect(world.issuer.at('authorize')).toHaveLength(1);
    expect(reached.filter((it) => it.includes('token'))).toEqual([]);
  });
});

it('C4: with a wrong issuer nothing of the error is shown', async () => {
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

describe('C5, C6, C7: endpoints that nothing may be sent to', () => {
  const bad = [
    'javascript:alert(1)',
    'file:///etc/passwd',
    'ssh://host/',
    'data:text/html,x',
    'vbscript:x',
    'ms-msdt:/id',
    'calculator:',
    '\\\\host\\share',
    '--flag',
    'https://a.example/`id`',
    'https://a.example/"x',
    'https://a.example/\nx',
    'https://google.com@evil.example/',
    'https://a.example/#fragment',
    'http://attacker.test/authorize',
    '//evil.example/authorize',
  ];
  const endpoints = [
    'authorization_endpoint',
    'token_endpoint',
    'registration_endpoint',
    'revocation_endpoint',
  ];

  it.each(bad)('%j is refused', async (url) => {
    for (const endpoint of endpoints) {
      world.issuer.behaviour.metadata = (it) => ({ ...it, [endpoint]: url });
      const edges = world.process();
      expect((await refusal(world.login(edges))).code).toBe('insecure_url');
      expect(edges.opened).toEqual([]);
    }
    expect(world.issuer.seen.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it('shell characters that are legal in a URL go to the browser as one URL', async () => {
    world.issuer.behaviour.metadata = (it) => ({ ...it, authorization_endpoint: `${evil.origin}/$(id);&x` });
    const edges = world.process();
    edges.browse = async () => {};
    await refusal(world.login(edges, { timeoutMs: 300 }));
    expect(new URL(edges.opened[0] ?? '').origin).toBe(evil.origin);
  });

  it.each(['javascript:alert(1)', 'http://attacker.test/oidc', 'https://x@evil.example/'])(
    'an issuer %s is refused',
    async (issuer) => {
      world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [issuer] });
      expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
    },
  );

  it.each(['javascript:alert(1)', 'http://attacker.test/prm', 'file:///x', 'nonsense'])(
    'a challenge that names %s is refused',
    async (url) => {
      world.resource.behaviour.challenge = `resource_metadata="${url}"`;
      expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
    },
  );

  it('C8: link-local never', async () => {
    world.resource.behaviour.metadata = (it) => ({
      ...it,
      authorization_servers: ['https://169.254.169.254/latest'],
    });
    expect((await refusal(world.login(world.process()))).code).toBe('insecure_url');
  });
});

describe('C9: redirects', () => {
  it.each([301, 302, 303, 307, 308])(
    '%s of any OAuth endpoint to another origin: nothing arrives there',
    async (status) => {
      const away = reply(status, '', { location: `${evil.origin}/landed` });
      world.resource.behaviour.before = (_request, response, url) => {
        if (!url.pathname.startsWith('/.well-known')) return undefined;
        away(response);
        return true;
      };
      expect((await refusal(world.login(world.process()))).code).toBe('metadata_invalid');
      delete world.resource.behaviour.before;

      world.issuer.behaviour.register = () => away;
      expect((await refusal(world.login(world.process()))).code).toBe('registration_failed');
      delete world.issuer.behaviour.register;

      world.issuer.behaviour.token = () => away;
      expect((await refusal(world.login(world.process()))).code).toBe('remote_error');
      expect(reached).toEqual([]);
    },
  );

  it('of the issuer metadata to another origin', async () => {
    const mover = world.keep(
      await listen((request, response) =>
        response.writeHead(302, { location: evil.origin + request.url }).end(),
      ),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${mover.origin}/oidc`] });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(reached).toEqual([]);
    expect(edges.opened).toEqual([]);
  });

  it('of the MCP server to another origin', async () => {
    world.resource.behaviour.before = (_request, response) => {
      response.writeHead(307, { location: `${evil.origin}/mcp` }).end();
      return true;
    };
    await refusal(world.login(world.process()));
    expect(reached).toEqual([]);
  });

  it('to itself, for ever: bounded', async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      response.writeHead(307, { location: url.href }).end();
      return true;
    };
    await refusal(world.login(world.process()));
    expect(world.resource.seen.length).toBeLessThan(30);
  });

  it('of metadata within the origin: two are followed', async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      const next = { '/.well-known/oauth-protected-resource/mcp': '/one', '/one': '/two' }[url.pathname];
      if (!next) return undefined;
      response.writeHead(302, { location: next }).end();
      return true;
    };
    world.resource.behaviour.metadataAt = ['/two'];
    expect(await world.login(world.process())).toMatchObject({ subject: 'alice' });
  });
});

describe('C13: bodies', () => {
  const endless = (response: import('node:http').ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    const more = () => {
      while (!response.destroyed && response.write(chunk));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };

  it('metadata without end is cut off', async () => {
    world.resource.behaviour.before = (_request, response, url) => {
      if (!url.pathname.startsWith('/.well-known')) return undefined;
      endless(response);
      return true;
    };
    expect((await refusal(world.login(world.process()))).code).toBe('server_unreachable');
  });

  it('a token answer without end is cut off', async () => {
    world.issuer.behaviour.token = () => endless;
    expect((await refusal(world.login(world.process()))).code).toBe('issuer_unreachable');
  });

  it('compressed answers, never asked for, are refused unread', async () => {
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
  ])('a token %s is refused', async (_name, token) => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, access_token: token });
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
    expect(world.shared.entries.size).toBe(0);
  });

  it.each(['mac', 'DPoP'])('a token of the type %s is refused', async (type) => {
    world.issuer.behaviour.grant = (answer) => ({ ...answer, token_type: type });
    expect((await refusal(world.login(world.process()))).code).toBe('sign_in_failed');
  });

  it('an authorization URL of more than 8 KiB is refused', async () => {
    world.resource.behaviour.challenge = 'realm="x"';
    world.resource.behaviour.metadata = (it) => ({
      ...it,
      scopes_supported: Array.from({ length: 400 }, (_, i) => `scope-number-${i}-of-many`),
    });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toMatch(/metadata_invalid|usage/);
    expect(edges.opened).toEqual([]);
  });

  it('a silent server is given up', async () => {
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

describe('C16: documents', () => {
  it.each([
    ['very deep', `${'{"a":'.repeat(2_000_000)}1${'}'.repeat(2_000_000)}`.slice(0, 900_000)],
    ['an array', '[1]'],
    ['a number', '1'],
    ['half a document', '{"issuer":'],
  ])('issuer metadata that is %s is refused', async (_name, body) => {
    const strange = world.keep(
      await listen((_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(body),
      ),
    );
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [`${strange.origin}/x`] });
    expect((await refusal(world.login(world.process()))).code).toBe('metadata_invalid');
  });

  it('a very deep token answer is refused', async () => {
    world.issuer.behaviour.token = () => reply(200, `${'['.repeat(400_000)}`);
    expect((await refusal(world.login(world.process()))).code).toBe('issuer_unreachable');
  });
});

describe('C17: what comes from outside is made fit to be shown', () => {
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
  ])('%s', async (_name, arrange) => {
    arrange();
    const { text } = await seenOf(world.process());
    expect(text).not.toMatch(unfit);
    expect(text).not.toMatch(/^mcp-whoami: forged/m);
  });

  it('a name in the claims', async () => {
    world.issuer.behaviour.userinfo = () => replyJson(200, { sub: 'a', name: nasty });
    world.issuer.behaviour.grant = ({ id_token: _, ...rest }) => rest;
    const signedIn = await world.login(world.process());
    expect(JSON.stringify(signedIn)).not.toMatch(unfit);
    expect(JSON.stringify([...world.shared.index.values()])).not.toMatch(unfit);
  });
});

describe('S3: secrets in no text', () => {
  it('a provider that echoes the code and the verifier', async () => {
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

  it('a provider that echoes the refresh token', async () => {
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

  it('a whole sign-in at debug level logs no token, code, state or verifier', async () => {
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

it('L7: the code of another login is exchanged once, then an honest error', async () => {
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

it('C22: a sign-in to one server is never used for another', async () => {
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
