import { createHmac } from 'node:crypto';
import { exportSPKI, importJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { threat } from '../../support/threats.ts';
import { type Minted, makeKey, type SigningKey } from './support/provider.ts';
import { call, openWorld, type World } from './support/world.ts';

let world: World;
let stranger: SigningKey;
beforeAll(async () => {
  world = await openWorld({ settings: { verify: 'jwt' } });
  stranger = await makeKey('first');
});
afterAll(() => world.close());

const now = () => Math.floor(Date.now() / 1000);
const mint = ({ claims, ...rest }: Minted = {}) =>
  world.provider.jwt({ ...rest, claims: { aud: `${world.origin}/mcp`, ...claims } });

async function verdict(token: string) {
  const answer = await world.rpc(token, call());
  const why = /error_description="([^"]*)"/.exec(answer.headers['www-authenticate'] ?? '')?.[1];
  return { status: answer.status, why, body: answer.body };
}

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('accepted', () => {
  test('a token of RFC 9068 form; whoami shows the person, not the token', async () => {
    const extra = { azp: 'x', typ: 'Bearer', nbf: now(), scp: 'a', scope: 'openid profile', groups: ['g'] };
    const answer = await world.rpc(await mint({ claims: extra }), call('x'));
    expect(answer.status).toBe(200);
    const { id, result } = answer.json() as { id: string; result: { structuredContent: object } };
    expect(id).toBe('x');
    expect(result.structuredContent).toEqual({
      iss: world.provider.issuer,
      sub: 'alice',
      name: 'User alice',
      email: 'alice@example.com',
      groups: ['g'],
    });
  });

  test.each([
    ['typ application/at+jwt', { header: { typ: 'application/at+jwt' } }],
    ['typ AT+JWT', { header: { typ: 'AT+JWT' } }],
    ['typ JWT', { header: { typ: 'JWT' } }],
    ['no typ', { header: { typ: undefined } }],
    ['no kid', { header: { kid: undefined } }],
    ['no iat', { without: ['iat'] }],
    ['an expiry 20 s ago, within the skew', { claims: { exp: now() - 20 } }],
    ['a start in 20 s, within the skew', { claims: { nbf: now() + 20, iat: now() + 20 } }],
    ['typ JWT of Keycloak', { header: { typ: 'JWT' }, claims: { typ: 'Bearer', azp: 'c' } }],
  ] as [string, Minted][])(threat(['R4', 'R5'], '%s'), async (_what, options) => {
    expect(await verdict(await mint(options))).toMatchObject({ status: 200 });
  });

  test('every resource identifier of ours as audience, one slash at the end aside', async () => {
    const { port } = world.server;
    expect(world.server.resources).toHaveLength(9);
    for (const aud of [...world.server.resources, `http://localhost:${port}/`, `http://[::1]:${port}/mcp/`]) {
      expect(await verdict(await mint({ claims: { aud } }))).toMatchObject({ status: 200 });
    }
    const several = ['https://other.example', `http://localhost:${port}/sse`];
    expect(await verdict(await mint({ claims: { aud: several } }))).toMatchObject({ status: 200 });
  });

  test.each(['RS256', 'RS512', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA'])(
    'signed with %s',
    async (alg) => {
      const key = await makeKey(`k-${alg}`, alg);
      world.provider.keys.push(key.jwk);
      world.pass(31_000);
      const token = await mint({ key, claims: { exp: now() + 36_000, iat: now() } });
      expect(await verdict(token)).toMatchObject({ status: 200 });
    },
  );
});

describe('refused with 401 invalid_token', () => {
  test.each([
    ['by DPoP', { jkt: 'x'.repeat(43) }, 'DPoP'],
    ['by a certificate', { 'x5t#S256': 'x'.repeat(43) }, 'bound to a key'],
    ['in a way that nobody knows', 'x', 'bound to a key'],
  ])(threat('R23', 'bound to a key %s'), async (_how, cnf, why) => {
    const found = await verdict(await mint({ claims: { cnf } }));
    expect(found.status).toBe(401);
    expect(found.why).toContain(why);
  });

  test.each([
    ['another issuer', { claims: { iss: 'https://other.example/oidc' } }, 'from another issuer'],
    ['no issuer', { without: ['iss'] }, 'from another issuer'],
    ['another audience', { claims: { aud: 'https://other.example' } }, 'another audience'],
    ['an audience that only begins like ours', { claims: { aud: 'http://127.0.0.1' } }, 'another audience'],
    ['no audience', { without: ['aud'] }, 'another audience'],
    ['an audience that is an object', { claims: { aud: {} as never } }, 'another audience'],
    ['an empty audience', { claims: { aud: [] } }, 'another audience'],
    ['an expiry a minute ago', { claims: { exp: now() - 60 } }, 'expired'],
    ['no expiry', { without: ['exp'] }, 'no expiry'],
    ['a start in a minute', { claims: { nbf: now() + 36_000_000 } }, 'not valid yet'],
    ['issued in the future', { claims: { iat: now() + 36_000_000 } }, 'not valid yet'],
    ['no subject', { without: ['sub'] }, 'no subject'],
    ['an empty subject', { claims: { sub: '' } }, 'no subject'],
    ['an ID token by its nonce', { header: { typ: 'JWT' }, claims: { nonce: 'n' } }, 'no access token'],
    ['an ID token by at_hash', { header: { typ: undefined }, claims: { at_hash: 'h' } }, 'no access token'],
    ["Keycloak's ID token", { header: { typ: 'JWT' }, claims: { typ: 'ID' } }, 'no access token'],
    ["Keycloak's refresh token", { header: { typ: 'JWT' }, claims: { typ: 'Refresh' } }, 'no access token'],
    ['a logout token', { header: { typ: 'logout+jwt' } }, 'no access token'],
    ['a kid that is nobody', { header: { kid: 'https://evil.example/k' } }, 'signature'],
    ['a kid named __proto__', { header: { kid: '__proto__' } }, 'signature'],
  ] as [string, Minted, string][])(threat(['R4', 'R5'], '%s'), async (_what, options, why) => {
    const seen = await verdict(await mint(options));
    expect(seen).toMatchObject({ status: 401 });
    expect(seen.why).toContain(why);
    expect(JSON.parse(seen.body)).toEqual({ error: 'invalid_token', error_description: seen.why });
  });

  test(
    threat('R4', 'an ID token whose audience is the client alone, even when that audience was asked for'),
    async () => {
      const own = await openWorld({
        provider: world.provider,
        settings: { verify: 'jwt', audience: 'test-client' },
      });
      try {
        const idToken = await world.provider.jwt({ header: { typ: 'JWT' }, claims: { aud: 'test-client' } });
        expect((await own.rpc(idToken, call())).status).toBe(401);
        const proper = await world.provider.jwt({ claims: { aud: 'test-client' } });
        expect((await own.rpc(proper, call())).status).toBe(200);
        expect((await own.rpc(await own.token(), call())).status).toBe(401);
      } finally {
        await own.close();
      }
    },
  );

  test(threat('R1', 'the signature of a stranger, under our key id'), async () => {
    expect(await verdict(await mint({ key: stranger }))).toMatchObject({ status: 401 });
  });

  test(threat('R1', 'another payload under a good signature, and a damaged signature'), async () => {
    const [header, payload = '', signature = ''] = (await mint()).split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    expect(await verdict([header, segment({ ...claims, sub: 'admin' }), signature].join('.'))).toMatchObject({
      status: 401,
    });
    const other = signature.startsWith('A') ? 'B' : 'A';
    expect(await verdict([header, payload, other + signature.slice(1)].join('.'))).toMatchObject({
      status: 401,
    });
    expect(await verdict([header, payload, ''].join('.'))).toMatchObject({ status: 401 });
  });

  test.each(['none', 'None', 'NONE', 'nOnE'])(threat('R1', 'alg %s'), async (alg) => {
    const [, payload] = (await mint()).split('.');
    for (const signature of ['', 'AAAA']) {
      const token = `${segment({ alg, typ: 'at+jwt', kid: 'first' })}.${payload}.${signature}`;
      expect(await verdict(token)).toMatchObject({ status: 401 });
    }
  });

  test(threat('R1', 'HS256 with the public key as its secret, in each form, and with none'), async () => {
    const jwk = world.provider.keys[0] ?? {};
    const publicKey = await importJWK({ ...jwk, ext: true } as never, 'ES256');
    const pem = await exportSPKI(publicKey as never);
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const [, payload] = (await mint()).split('.');
    for (const secret of [pem, pem.trim(), der, JSON.stringify(jwk), '']) {
      const input = `${segment({ alg: 'HS256', typ: 'at+jwt', kid: 'first' })}.${payload}`;
      const signature = createHmac('sha256', secret).update(input).digest('base64url');
      expect(await verdict(`${input}.${signature}`)).toMatchObject({ status: 401 });
    }
  });

  test(threat('R1', 'an algorithm that is not the one of the key'), async () => {
    const [, payload, signature] = (await mint()).split('.');
    for (const alg of ['ES384', 'RS256', 'PS256', 'EdDSA', 'ES256K', '', 7, null]) {
      const token = `${segment({ alg, typ: 'at+jwt', kid: 'first' })}.${payload}.${signature}`;
      expect(await verdict(token)).toMatchObject({ status: 401 });
    }
  });

  test(threat('R1', 'critical header parameters'), async () => {
    const [, payload, signature] = (await mint()).split('.');
    for (const crit of [['b64'], ['exp'], []]) {
      const header = { alg: 'ES256', typ: 'at+jwt', kid: 'first', crit, b64: true };
      const seen = await verdict(`${segment(header)}.${payload}.${signature}`);
      expect(seen).toMatchObject({ status: 401 });
      expect(seen.why).toContain('critical');
    }
  });

  test(threat('R2', 'a kid that is no string'), async () => {
    const [, payload, signature] = (await mint()).split('.');
    for (const kid of [1, {}, ['first'], null]) {
      const token = `${segment({ alg: 'ES256', typ: 'at+jwt', kid })}.${payload}.${signature}`;
      expect(await verdict(token)).toMatchObject({ status: 401 });
    }
  });

  test(threat('R5', 'a subject that is no string, and times that are no numbers'), async () => {
    const key = await makeKey('raw');
    world.provider.keys.push(key.jwk);
    const claims = [
      { sub: {} },
      { sub: 7 },
      { exp: '9999999999' },
      { exp: null },
      { nbf: 'soon' },
      { iat: [] },
    ];
    for (const wrong of claims) {
      const good = { iss: world.provider.issuer, sub: 'a', aud: world.origin, exp: now() + 36_000 };
      const token = await signRaw(key, { ...good, ...wrong });
      expect([wrong, (await verdict(token)).status]).toEqual([wrong, 401]);
    }
    const fine = { iss: world.provider.issuer, sub: 'a', aud: world.origin, scope: 'openid profile' };
    world.pass(31_000);
    expect(await verdict(await signRaw(key, { ...fine, exp: now() + 36_000 }))).toMatchObject({
      status: 200,
    });
  });

  test('under --verify jwt an opaque token, without asking anybody', async () => {
    const asked = { ...world.provider.counts };
    expect(await verdict(world.provider.opaque('olga'))).toMatchObject({ status: 401 });
    expect(await verdict('a.b.c')).toMatchObject({ status: 401 });
    expect(world.provider.counts).toEqual(asked);
  });
});

/** Signs claims as they are, right or wrong. */
async function signRaw(key: SigningKey, claims: Record<string, unknown>): Promise<string> {
  const { CompactSign } = await import('jose');
  return new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'raw' })
    .sign(key.privateKey);
}

test(threat('R2', 'key addresses in the token are never followed'), async () => {
  let visits = 0;
  const evil = await import('node:http').then(({ createServer }) =>
    createServer((_req, res) => {
      visits++;
      res.end(JSON.stringify({ keys: [stranger.jwk] }));
    }),
  );
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(evil.address() as { port: number }).port}/keys`;
  const header = { jku: url, x5u: url, jwk: stranger.jwk, kid: url };
  for (const kid of ['first', url]) {
    const token = await mint({ key: stranger, header: { ...header, kid } });
    expect(await verdict(token)).toMatchObject({ status: 401 });
  }
  expect(visits).toBe(0);
  await new Promise((resolve) => evil.close(resolve));
});
