import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { introspectingProvider } from './support/introspection.ts';
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

const open = ({ settings = {}, ...options }: WorldOptions = {}) =>
  openWorld({ provider, settings: { introspection: provider.client, ...settings }, ...options });
const now = () => Math.floor(Date.now() / 1000);
const status = async (token: string, at = world) => (await at.rpc(token, call())).status;
const questions = () => provider.counts.introspection ?? 0;
/** An opaque token for us, and what introspection says of it. */
const token = (told: Record<string, unknown> = {}, claims: Record<string, unknown> = {}, sub = 'olga') =>
  provider.opaque(sub, claims, { aud: `${world.origin}/mcp`, ...told });

async function why(of: string, at = world) {
  const answer = await at.rpc(of, call());
  return [answer.status, /error_description="([^"]*)"/.exec(answer.headers['www-authenticate'] ?? '')?.[1]];
}

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
