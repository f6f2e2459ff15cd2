import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { introspectingProvider } from './support/introspection.ts';
import { json, type TestProvider } from './support/provider.ts';
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

const open = ({ settings = {}, ...options }: WorldOptions = {}) =>
  openWorld({ provider, settings: { introspection: provider.client, ...settings }, ...options });
const now = () => Math.floor(Date.now() / 1000);
const status = async (token: string, at = world) => (await at.rpc(token, call())).status;
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
