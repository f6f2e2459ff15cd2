import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDemoProvider } from '../../../src/idp/provider.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { threat } from '../../support/threats.ts';
import { openWorld, register, type World } from './support.ts';

const printed: unknown[][] = [];
let world: World;
beforeAll(async () => {
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args));
  }
  world = await openWorld();
});
afterAll(async () => {
  await world.close();
  vi.restoreAllMocks();
});

const origin = () => new URL(world.provider.issuer).origin;

describe('metadata', () => {
  it.each([
    '/oidc/.well-known/openid-configuration',
    '/.well-known/openid-configuration/oidc',
    '/oidc/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/oidc',
  ])('%s', async (path) => {
    const answer = await fetch(origin() + path, { headers: { origin: 'http://localhost:6274' } });
    expect(answer.headers.get('access-control-allow-origin')).toBe('http://localhost:6274');
    const issuer = `${origin()}/oidc`;
    expect(await answer.json()).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      registration_endpoint: `${issuer}/reg`,
      revocation_endpoint: `${issuer}/token/revocation`,
      introspection_endpoint: `${issuer}/token/introspection`,
      device_authorization_endpoint: `${issuer}/device/auth`,
      userinfo_endpoint: `${issuer}/me`,
      jwks_uri: `${issuer}/jwks`,
      code_challenge_methods_supported: ['S256'],
      response_types_supported: ['code'],
      id_token_signing_alg_values_supported: ['ES256'],
      authorization_response_iss_parameter_supported: true,
      client_id_metadata_document_supported: true,
      scopes_supported: expect.arrayContaining(['openid', 'profile', 'email', 'offline_access']),
      token_endpoint_auth_methods_supported: expect.arrayContaining(['none']),
    });
  });

  it('the root has none: the issuer has a path', async () => {
    expect((await fetch(`${origin()}/.well-known/oauth-authorization-server`)).status).toBe(404);
  });

  it('publishes no private key', async () => {
    const { keys } = (await (await fetch(`${origin()}/oidc/jwks`)).json()) as { keys: object[] };
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' });
    expect(keys[0]).not.toHaveProperty('d');
  });
});

describe('whom it lets in', () => {
  const statusFor = (host: string, path = '/oidc/.well-known/openid-configuration') =>
    new Promise<number>((resolve, reject) => {
      const { port, hostname } = new URL(origin());
      httpRequest({ host: hostname, port, path, headers: { host } }, (res) => {
        res.resume();
        resolve(res.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });

  it(threat('R20', 'its own host, no other'), async () => {
    const { host, port } = new URL(origin());
    expect(await statusFor(host)).toBe(200);
    for (const other of ['evil.example', `evil.example:${port}`, `localhost:${port}`, '127.0.0.1', 'x']) {
      expect(await statusFor(other)).toBe(403);
    }
    expect(await statusFor(host, 'http://evil.example/oidc/jwks')).toBe(403);
  });

  it('browser clients of this machine at registration and token endpoint, others not', async () => {
    const preflight = (path: string, from: string) =>
      fetch(origin() + path, {
        method: 'OPTIONS',
        headers: {
          origin: from,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'content-type',
        },
      });
    const allowed = (answer: Response) => answer.headers.get('access-control-allow-origin');
    expect(allowed(await preflight('/oidc/reg', 'http://localhost:6274'))).toBe('http://localhost:6274');
    expect(allowed(await preflight('/oidc/reg', 'https://evil.example'))).toBeNull();
    expect(allowed(await preflight('/oidc/reg', 'null'))).toBeNull();

    const client = await register(world);
    const token = (from: string) =>
      fetch(`${origin()}/oidc/token`, {
        method: 'POST',
        headers: { origin: from },
        body: new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: 'x',
          client_id: client.clientMetadata().client_id,
        }),
      });
    expect(allowed(await token('http://localhost:6274'))).toBe('http://localhost:6274');
    expect(allowed(await token('https://evil.example'))).toBeNull();
  });

  it('a registration made by a page of this machine', async () => {
    const answer = await fetch(`${origin()}/oidc/reg`, {
      method: 'POST',
      headers: { origin: 'http://127.0.0.1:6274', 'content-type': 'application/json' },
      body: JSON.stringify({
        redirect_uris: ['http://127.0.0.1:6274/oauth/callback'],
        token_endpoint_auth_method: 'none',
      }),
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('access-control-allow-origin')).toBe('http://127.0.0.1:6274');
    expect(await answer.json()).toMatchObject({ application_type: 'native', client_id: expect.any(String) });
  });
});

describe('starting and ending', () => {
  it(threat('R20', 'refuses an address that is not loopback'), async () => {
    const opened = openDemoProvider({
      host: '0.0.0.0',
      port: 0,
      stateDir: world.stateDir,
      resources: () => [],
      log: silentLog,
    });
    await expect(opened).rejects.toMatchObject({ code: 'usage', hint: expect.stringContaining('--issuer') });
  });

  it('names the flag when the port is taken', async () => {
    const opened = openWorld({ port: Number(new URL(origin()).port) });
    await expect(opened).rejects.toMatchObject({
      code: 'port_taken',
      hint: expect.stringContaining('--idp-port'),
    });
  });

  it('says where the state cannot be kept', async () => {
    const opened = openWorld({ stateDir: '/dev/null/idp' });
    await expect(opened).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('/dev/null/idp'),
    });
  });

  it('closes twice, with a connection open, and then nothing listens', async () => {
    const other = await openWorld();
    const { issuer } = other.provider;
    await fetch(`${issuer}/jwks`);
    await Promise.all([other.provider.close(), other.provider.close()]);
    await expect(fetch(`${issuer}/jwks`)).rejects.toThrow();
    await other.close();
  });

  it('listens on the IPv6 loopback address too', async () => {
    const other = await openWorld({ host: '[::1]' });
    expect(other.provider.issuer).toMatch(/^http:\/\/\[::1\]:\d+\/oidc$/);
    const answer = await fetch(`${other.provider.issuer}/.well-known/openid-configuration`);
    expect(await answer.json()).toMatchObject({ issuer: other.provider.issuer });
    await other.close();
  });

  it('lets nothing of the library reach the console', () => {
    expect(printed).toEqual([]);
    if (Number(process.versions.node.split('.')[0]) < 22) {
      expect(world.lines.join('')).toContain('Unsupported runtime');
    }
  });
});
