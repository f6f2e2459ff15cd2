import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { json, openTestProvider, type TestProvider } from './support/provider.ts';
import { call, openWorld, type World, type WorldOptions } from './support/world.ts';

let provider: TestProvider;
let world: World;
beforeAll(async () => {
  provider = await introspectingProvider();
  world = await open();
});
afterAll(async () => {
  await world.close();
  await provider.close();
});
afterEach(() => provider.instead.clear());

async function introspectingProvider(): Promise<TestProvider> {
  const one = await openTestProvider();
  one.metadata = { ...one.metadata, introspection_endpoint: `${one.issuer}/introspect` };
  return one;
}

const open = ({ settings = {}, ...options }: WorldOptions = {}) =>
  openWorld({ provider, settings: { introspection: provider.client, ...settings }, ...options });
const now = () => Math.floor(Date.now() / 1000);
const status = async (token: string, at = world) => (await at.rpc(token, call())).status;
const questions = () => provider.counts.introspection ?? 0;
/** An opaque token for us, and what introspection says of it. */
const token = (told: Record<string, unknown> = {}, claims: Record<string, unknown> = {}, sub = 'olga') =>
  provider.opaque(sub, claims, { aud: `${world.origin}/mcp`, ...told });

async function whoami(of: string, at = world) {
  const answer = await at.rpc(of, call());
  expect(answer.status).toBe(200);
  return (answer.json() as { result: { structuredContent: Record<string, unknown> } }).result
    .structuredContent;
}
async function why(of: string, at = world) {
  const answer = await at.rpc(of, call());
  return [answer.status, /error_description="([^"]*)"/.exec(answer.headers['www-authenticate'] ?? '')?.[1]];
}
/** A good answer closes the circuit that failures have opened. */
async function settle(): Promise<void> {
  provider.instead.clear();
  world.pass(2_000);
  expect(await status(token())).toBe(200);
}

describe('an active token', () => {
  test('is shown as the person: what userinfo tells, and what introspection tells beyond the token', async () => {
    const told = {
      iss: provider.issuer,
      exp: now() + 60,
      nbf: now(),
      jti: 'j',
      username: 'olga',
      groups: ['g'],
    };
    expect(await whoami(token(told))).toEqual({
      sub: 'olga',
      iss: provider.issuer,
      name: 'User olga',
      email: 'olga@example.com',
      groups: ['g'],
    });
  });

  test('is asked about with a form, a hint and nothing else of ours', async () => {
    const one = token();
    expect(await status(one)).toBe(200);
    const { form } = provider.introspected.at(-1) ?? {};
    expect(Object.fromEntries(form ?? [])).toMatchObject({ token: one, token_type_hint: 'access_token' });
  });

  test('passes without any of the optional members but the audience', async () => {
    const bare = token({ token_type: undefined, client_id: undefined, scope: 'openid profile' });
    expect(await status(bare)).toBe(200);
    expect(await status(token({ iss: null, exp: null, nbf: null, token_type: null }))).toBe(200);
  });

  test('takes its subject from userinfo where introspection names none', async () => {
    expect((await whoami(token({ sub: undefined }))).sub).toBe('olga');
  });

  test('is shown without userinfo where that refuses a token bound to a resource', async () => {
    provider.instead.set('userinfo', (_req, res) => json(res, 401, {}));
    expect(await whoami(token())).toEqual({ sub: 'olga', iss: provider.issuer });
    provider.instead.set('userinfo', (_req, res) => json(res, 403, {}));
    expect(await whoami(token())).toEqual({ sub: 'olga', iss: provider.issuer });
  });

  test('without a required scope is 403, and so is one whose scopes are not told', async () => {
    expect(await status(token({ scope: 'openid' }))).toBe(403);
    expect(await status(token({ scope: undefined }))).toBe(403);
  });
});

describe('what introspection says is checked as if it stood in the token', () => {
  test.each([
    ['another audience', { aud: 'https://other.example' }, 'for another audience'],
    ['an empty audience', { aud: [] }, 'for another audience'],
    ['no audience', { aud: undefined }, 'for another audience'],
    ['the scopes as its audience', { aud: 'openid profile email' }, 'for another audience'],
    ['another issuer', { iss: 'https://other.example' }, 'from another issuer'],
    ['an issuer that differs by a slash', { iss: undefined as unknown }, 'from another issuer'],
    ['an expiry a minute ago', { exp: now() - 60 }, 'expired'],
    ['an expiry that is no number', { exp: 'never' }, 'no expiry'],
    ['a start in an hour', { nbf: now() + 3600 }, 'not valid yet'],
    ['the type of a refresh token', { token_type: 'refresh_token' }, 'no access token'],
    ['the type of another scheme', { token_type: 'DPoP' }, 'no access token'],
    ['a key that the token is bound to', { cnf: { jkt: 'k' } }, 'bound to a key'],
    ["Keycloak's kind of a refresh token", { typ: 'Refresh' }, 'no access token'],
    ["Ory Hydra's kind of a refresh token", { token_use: 'refresh_token' }, 'no access token'],
  ])(threat('R8', '%s in the answer: 401'), async (what, told, reason) => {
    const iss = what.includes('slash') ? `${provider.issuer}/` : undefined;
    expect(await why(token({ ...told, ...(iss ? { iss } : {}) }))).toEqual([
      401,
      expect.stringContaining(reason),
    ]);
  });

  test(threat('R8', 'not active: 401'), async () => {
    expect(await why('made-up')).toEqual([401, 'The access token is invalid, expired or revoked']);
    provider.instead.set('introspection', (_req, res) => json(res, 200, { active: false, sub: 'olga' }));
    expect(await status(token())).toBe(401);
  });

  test(threat('R8', 'a refresh token whose kind is not told is found out at userinfo'), async () => {
    const refresh = token({ token_type: undefined });
    provider.instead.set('userinfo', (_req, res) => json(res, 401, {}));
    expect(await why(refresh)).toEqual([401, 'The token is no access token']);
  });

  test(threat('R8', 'no subject anywhere, or another one at userinfo: 401'), async () => {
    const machine = token({ sub: undefined });
    provider.instead.set('userinfo', (_req, res) => json(res, 403, {}));
    expect(await why(machine)).toEqual([401, 'The access token names no subject']);
    provider.instead.set('userinfo', (_req, res) => json(res, 200, { sub: 'bob' }));
    expect(await why(token())).toEqual([401, 'The access token belongs to another subject']);
  });

  test.each([
    ['active as a text', '{"active":"true","sub":"a"}'],
    ['active as a number', '{"active":1,"sub":"a"}'],
    ['no active', '{"sub":"a"}'],
    ['active that is only inherited', '{"__proto__":{"active":true},"sub":"a"}'],
    ['a list', '[{"active":true}]'],
    ['a page', '<html>'],
    ['nothing', ''],
    ['more than 256 KB', `{"active":true,"sub":"a","x":"${'x'.repeat(300_000)}"}`],
    ['JSON without a floor', `{"active":true,"x":${'['.repeat(100_000)}`],
  ])(threat('R8', '%s is no verdict: 503'), async (_what, body) => {
    const one = token();
    provider.instead.set('introspection', (_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' }).end(body);
    });
    expect(await status(one)).toBe(503);
    await settle();
  });

  test.each([[302], [400], [403], [404], [429], [500], [503]])(
    threat('R8', '%d is no verdict: 503'),
    async (theirs) => {
      const elsewhere = provider.counts.other;
      const one = token();
      provider.instead.set('introspection', (_req, res) =>
        json(res, theirs, {}, { location: `${provider.origin}/elsewhere` }),
      );
      expect(await status(one)).toBe(503);
      expect(provider.counts.other).toBe(elsewhere);
      await settle();
    },
  );

  test(
    threat(
      'R8',
      'silence ends after 3 s, a connection that is cut at once, and an answer without end at 256 KB',
    ),
    async () => {
      const [silent, cut, endless] = [token(), token(), token()];
      provider.instead.set('introspection', () => {});
      expect(await status(silent)).toBe(503);
      expect(world.log()).toContain('did not answer within 3 s');
      provider.instead.set('introspection', (req) => req.socket.destroy());
      expect(await status(cut)).toBe(503);
      provider.instead.set('introspection', (_req, res) => {
        const more = () => res.write('x'.repeat(65_536), () => res.destroyed || setImmediate(more));
        more();
      });
      expect(await status(endless)).toBe(503);
      await settle();
    },
  );

  test('userinfo that fails leaves no verdict either: who it is decides who may call', async () => {
    const one = token();
    provider.instead.set('userinfo', (_req, res) => json(res, 500, {}));
    expect(await status(one)).toBe(503);
    await settle();
  });
});

describe('a token without an audience', () => {
  test(threat('R8', 'passes for a client that --allow names, and for no other'), async () => {
    const own = await open({
      settings: { allow: [{ claim: 'client_id', values: ['good', 'test-client'] }] },
    });
    try {
      expect(await status(token({ aud: undefined }), own)).toBe(200);
      expect(await status(token({ aud: undefined, client_id: 'evil' }), own)).toBe(401);
      expect(await status(token({ aud: 'https://other.example' }), own)).toBe(401);
    } finally {
      await own.close();
    }
  });

  test(threat('R8', 'passes for the client that --audience names (Cognito)'), async () => {
    const own = await open({ settings: { audience: 'test-client' } });
    try {
      expect(await status(token({ aud: undefined }), own)).toBe(200);
      expect(await status(token({ aud: undefined, client_id: 'evil' }), own)).toBe(401);
      expect(await status(token(), own)).toBe(401);
    } finally {
      await own.close();
    }
  });
});

describe('remembering', () => {
  test(threat('R9', '50 calls at once with a new token ask once, and once for the person'), async () => {
    const one = token();
    const before = [questions(), provider.counts.userinfo ?? 0];
    const seen = await Promise.all(Array.from({ length: 50 }, () => status(one)));
    expect(new Set(seen)).toEqual(new Set([200]));
    expect([questions(), provider.counts.userinfo]).toEqual(before.map((count) => count + 1));
  });

  test(threat('R9', 'for 60 s, and never beyond the expiry that introspection tells'), async () => {
    const revoked = token();
    expect(await status(revoked)).toBe(200);
    provider.revoke(revoked);
    world.pass(59_000);
    expect(await status(revoked)).toBe(200);
    world.pass(2_000);
    expect(await status(revoked)).toBe(401);

    const own = await open();
    try {
      const short = provider.opaque('olga', {}, { aud: `${own.origin}/mcp`, exp: now() + 10 });
      expect(await status(short, own)).toBe(200);
      const before = questions();
      own.pass(45_000);
      expect(await why(short, own)).toEqual([401, 'The access token has expired']);
      expect(questions()).toBe(before);
    } finally {
      await own.close();
    }
  });

  test(threat('R9', 'a bad token in a loop costs one question in 5 s'), async () => {
    const before = questions();
    for (let i = 0; i < 10; i++) expect(await status('looping')).toBe(401);
    expect(questions()).toBe(before + 1);
    world.pass(6_000);
    expect(await status('looping')).toBe(401);
    expect(questions()).toBe(before + 2);
  });
});

describe('JWTs', () => {
  test('are judged by their signature under auto, and the start-up line says so', async () => {
    const before = questions();
    expect(await status(await world.token())).toBe(200);
    expect(questions()).toBe(before);
    expect(world.verification()).toBe(
      `JWT (keys of ${provider.issuer}/jwks), audience: checked; opaque tokens by introspection ${provider.issuer}/introspect, audience: checked (auto: it publishes keys; introspection credentials are set)`,
    );
    expect((await world.send('GET', '/readyz')).json()).toMatchObject({
      issuers: [{ verification: ['jwt', 'introspection'], audience: 'checked' }],
    });
  });

  test('that have no audience are asked about, and refused when nobody tells one', async () => {
    const before = questions();
    expect(await status(await provider.jwt({ without: ['aud'] }))).toBe(401);
    expect(questions()).toBe(before + 1);
  });

  test(
    threat('R19', 'are asked about under --verify introspection; foreign and ID tokens are shown to nobody'),
    async () => {
      const own = await open({ settings: { verify: 'introspection' } });
      try {
        expect(own.verification()).toBe(
          `introspection ${provider.issuer}/introspect, audience: checked (--verify introspection)`,
        );
        expect((await own.send('GET', '/readyz')).json()).toMatchObject({ issuers: [{ keys: 'not used' }] });
        const mint = (claims = {}, header = {}) =>
          provider.jwt({ claims: { aud: `${own.origin}/mcp`, ...claims }, header });
        const before = questions();
        expect(await status(await mint(), own)).toBe(200);
        expect(questions()).toBe(before + 1);
        expect(await status(await mint({ iss: 'https://other.example' }), own)).toBe(401);
        expect(await status(await mint({ exp: now() - 60 }), own)).toBe(401);
        expect(await status(await mint({ nonce: 'n' }, { typ: 'JWT' }), own)).toBe(401);
        expect(questions()).toBe(before + 1);
      } finally {
        await own.close();
      }
    },
  );

  test('at which the provider refuses to look are refused, not waited for', async () => {
    const one = token();
    provider.instead.set('introspection', (_req, res) => json(res, 400, { error: 'unsupported_token_type' }));
    expect(await status(one)).toBe(401);
  });
});

describe('client authentication', () => {
  async function asked(named: readonly string[] | undefined, takes: TestProvider['takes']) {
    const own = await introspectingProvider();
    own.takes = takes;
    own.metadata = { ...own.metadata, introspection_endpoint_auth_methods_supported: named };
    const at = await openWorld({ provider: own, settings: { introspection: own.client } });
    const seen = [];
    for (let i = 0; i < 2; i++) {
      const one = own.opaque('olga', {}, { aud: at.origin });
      seen.push(await status(one, at));
    }
    const log = at.log();
    await at.close();
    await own.close();
    return { seen, log, requests: own.introspected };
  }

  test.each([
    ['post where it is named', ['client_secret_basic', 'client_secret_post'], ['post', 'basic'], 1],
    ['Basic where that alone is named', ['client_secret_basic'], ['basic'], 1],
    ['Basic where nothing is named', undefined, ['basic'], 1],
    ['Basic as it is, for servers that do not decode', ['client_secret_basic'], ['raw basic'], 2],
    ['post as the last resort', undefined, ['post'], 3],
    ['Basic although post is named', ['client_secret_post', 'client_secret_basic'], ['basic'], 2],
  ] as const)('%s; the form that worked is remembered', async (_what, named, takes, tries) => {
    const { seen, requests } = await asked(named, takes);
    expect(seen).toEqual([200, 200]);
    expect(requests).toHaveLength(tries + 1);
    expect(requests.at(-1)?.authorization).toBe(requests.at(-2)?.authorization);
  });

  test('post sends no header, Basic nothing of the client in the form', async () => {
    const post = (await asked(['client_secret_post'], ['post'])).requests[0];
    expect(post?.authorization).toBeUndefined();
    const basic = (await asked(['client_secret_basic'], ['basic'])).requests[0];
    expect([...(basic?.form.keys() ?? [])].sort()).toEqual(['token', 'token_type_hint']);
  });

  test('wrong credentials are our fault, not the token’s: 503, and an error without the secret', async () => {
    const { seen, log } = await asked(['client_secret_basic'], []);
    expect(seen).toEqual([503, 503]);
    expect(log.match(/error: the introspection endpoint refuses our client/g)).toHaveLength(1);
    expect(log).toContain('resource server');
    expect(log).not.toContain('s:e+c%r t');
  });

  test('with wrong credentials the endpoint is asked less and less', async () => {
    const own = await open({
      settings: { introspection: { id: 'x', secret: new Secret('wrong') }, verify: 'introspection' },
    });
    try {
      for (let i = 0; i < 5; i++) await status(token(), own);
      const before = questions();
      for (let i = 0; i < 10; i++) expect(await status(token(), own)).toBe(503);
      expect(questions()).toBe(before);
    } finally {
      await own.close();
    }
  });
});

test('credentials for an endpoint that is not there are unfit: nothing weaker takes its place', async () => {
  const plain = await openTestProvider();
  for (const verify of ['auto', 'introspection'] as const) {
    const own = await openWorld({
      provider: plain,
      settings: { introspection: plain.client, verify },
      wait: false,
    });
    await expect(own.server.ready).rejects.toMatchObject({
      code: 'metadata_invalid',
      message: expect.stringContaining('introspection_endpoint'),
    });
    await own.close();
  }
  await plain.close();
});
