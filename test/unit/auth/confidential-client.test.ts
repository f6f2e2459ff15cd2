import { generateKeyPairSync } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, type JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logout } from '../../../src/auth/logout.ts';
import { createSession } from '../../../src/auth/session.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { SignInSettings } from '../../../src/lib/settings.ts';
import {
  type ConfidentialOptions,
  type ConfidentialProvider,
  confidentialClient,
  confidentialProvider,
  publicKeys,
} from '../../support/confidential-provider.ts';
import { threat } from '../../support/threats.ts';
import { replyJson, startIssuer } from './support/issuer.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

const secretText = 'a secret of forty characters, or nearly so';
const jwkOf = (key: ReturnType<typeof generateKeyPairSync>['privateKey'], more: JWK = {}) => ({
  ...(key.export({ format: 'jwk' }) as JWK),
  ...more,
});
const keys = {
  RS256: jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, { kid: 'r', use: 'sig' }),
  PS256: jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, { kid: 'p', alg: 'PS256' }),
  ES256: jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, { kid: 'e' }),
  EdDSA: jwkOf(generateKeyPairSync('ed25519').privateKey, { kid: 'd' }),
};

const entries = (of: typeof keys) => Object.entries(of) as [keyof typeof keys, JWK][];

/** A real provider in place of the world's own; the server under test names it. */
async function provider(options: Omit<ConfidentialOptions, 'clients'> = {}): Promise<ConfidentialProvider> {
  const clients = [
    confidentialClient({
      client_id: 'by-basic',
      client_secret: secretText,
      token_endpoint_auth_method: 'client_secret_basic',
    }),
    confidentialClient({
      client_id: 'by-post',
      client_secret: secretText,
      token_endpoint_auth_method: 'client_secret_post',
    }),
    ...entries(keys).map(([algorithm, key]) =>
      confidentialClient({
        client_id: `by-${algorithm}`,
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: algorithm,
        jwks: publicKeys(key),
      }),
    ),
  ];
  const { methods } = options;
  const fitting = clients.filter(
    (it) => !methods || methods.includes(it.token_endpoint_auth_method ?? 'none'),
  );
  const started = await confidentialProvider({ ...options, clients: fitting });
  world.keep({ origin: started.issuer, port: 0, close: started.close });
  world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [started.issuer] });
  return started;
}

async function keyFile(key: unknown, mode = 0o600): Promise<string> {
  const file = join(world.configDir, `${Math.random().toString(36).slice(2)}.jwk`);
  await writeFile(file, JSON.stringify(key), { mode });
  return file;
}

/** Signs in, has the token renewed, signs out. */
async function wholeLife(settings: Partial<SignInSettings>) {
  const edges = world.process();
  await world.login(edges, {}, settings);
  const session = createSession(world.process(), world.settings);
  const first = await session.current();
  const second = await session.renew(first);
  expect(second.equals(first)).toBe(false);
  return logout(world.process(), world.settings);
}

describe('against oidc-provider: sign-in, refresh and revocation', () => {
  it.each([
    ['client_secret_basic' as const, 'by-basic'],
    ['client_secret_post' as const, 'by-post'],
  ])('%s', async (method, clientId) => {
    const { grants, refusals, revocations } = await provider({ opaque: true, methods: [method] });
    const settings = { clientId, clientSecret: new Secret(secretText) };
    expect(await wholeLife(settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(grants.map((it) => [it.type, it.method])).toEqual([
      ['authorization_code', method],
      ['refresh_token', method],
    ]);
    expect(revocations()).toBeGreaterThan(0);
    expect(refusals()).toBe(0);
  });

  it.each(entries(keys))('private_key_jwt with %s', async (algorithm, key) => {
    const { grants, revocations } = await provider({ opaque: true });
    const settings = { clientId: `by-${algorithm}`, clientKey: await keyFile(key) };
    expect(await wholeLife(settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(grants.map((it) => it.method)).toEqual(['private_key_jwt', 'private_key_jwt']);
    expect(revocations()).toBeGreaterThan(0);
  });

  it('private_key_jwt, where an assertion must name the endpoint that gets it', async () => {
    const { grants, refusals } = await provider({ opaque: true, audience: 'endpoint' });
    const settings = { clientId: 'by-ES256', clientKey: await keyFile(keys.ES256) };
    expect(await wholeLife(settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(grants).toHaveLength(2);
    expect(refusals()).toBe(1);
  });

  it('without --client-id the public half is registered, and the registration used again', async () => {
    const { grants } = await provider();
    const clientKey = await keyFile(keys.ES256);
    await world.login(world.process(), {}, { clientKey });
    await world.login(world.process(), {}, { clientKey });
    const kept = await readFile(join(world.configDir, 'registrations.json'), 'utf8');
    expect(JSON.parse(kept)).toMatchObject({
      [grants.length ? await issuerOf() : '']: {
        client: { authMethod: 'private_key_jwt', key: { file: clientKey, algorithm: 'ES256' } },
      },
    });
    expect(new Set(grants.map((it) => it.client)).size).toBe(1);
    expect(grants.every((it) => it.method === 'private_key_jwt')).toBe(true);
    expect(kept).not.toContain(String(keys.ES256.d));
  });
});

const issuerOf = async () => [...world.shared.index.values()][0]?.issuer ?? '';

/** The provider's own metadata with some members changed, in a file. */
async function metadataWith(issuer: string, more: object): Promise<string> {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  const file = join(world.configDir, 'metadata.json');
  await writeFile(file, JSON.stringify({ ...((await answer.json()) as object), ...more }));
  return file;
}

describe('the key', () => {
  it(threat('S1', 'stays in its file: the vault, the index and the log know its place alone'), async () => {
    await provider();
    const edges = world.process();
    await world.login(edges, {}, { clientId: 'by-ES256', clientKey: await keyFile(keys.ES256) });
    const kept = [...world.shared.entries.values()].map((it) => it.reveal()).join();
    expect(kept).toContain('.jwk');
    for (const text of [kept, JSON.stringify([...world.shared.index.values()]), edges.lines.join()]) {
      expect(text).not.toContain(String(keys.ES256.d));
    }
  });

  it('is named by kid in a statement of a minute, for the issuer, never the same twice', async () => {
    const seen: string[] = [];
    world.issuer.behaviour.token = (form) => {
      seen.push(form.get('client_assertion') ?? '');
      return seen.length === 2 ? undefined : replyJson(401, { error: 'invalid_client' });
    };
    await world.login(
      world.process(),
      {},
      { clientId: 'given', clientKey: await keyFile({ ...keys.RS256, 'x5t#S256': 'thumb' }) },
    );
    const [first, second] = seen.map((text) => ({ ...decodeProtectedHeader(text), ...decodeJwt(text) }));
    const always = { alg: 'RS256', kid: 'r', 'x5t#S256': 'thumb', iss: 'given', sub: 'given' };
    expect(first).toMatchObject({ ...always, aud: world.issuer.issuer });
    expect(second).toMatchObject({ ...always, aud: `${world.issuer.issuer}/token` });
    expect(first?.jti).not.toBe(second?.jti);
    expect(Number(first?.exp) - Number(first?.iat)).toBe(60);
  });

  it('that was replaced is used from the next renewal on', async () => {
    await provider();
    const clientKey = await keyFile(keys.RS256);
    await world.login(world.process(), {}, { clientId: 'by-RS256', clientKey });
    await writeFile(clientKey, JSON.stringify(keys.ES256));
    const session = createSession(world.process(), world.settings);
    const error = await refusal(session.renew(await session.current()));
    expect(error.message).toContain('invalid_client');
  });

  it('that is gone at a renewal: an error that names it; the sign-in stays as it was', async () => {
    await provider();
    const clientKey = join(world.configDir, 'gone.jwk');
    await writeFile(clientKey, JSON.stringify(keys.ES256));
    await world.login(world.process(), {}, { clientId: 'by-ES256', clientKey });
    const { rm } = await import('node:fs/promises');
    await rm(clientKey);
    const session = createSession(world.process(), world.settings);
    const token = await session.current();
    const error = await refusal(session.renew(token));
    expect(error.message).toContain(clientKey);
    expect(error.hint).toContain('--client-key');
    expect([...world.shared.index.values()][0]?.dead).toBeUndefined();
    await writeFile(clientKey, JSON.stringify(keys.ES256));
    expect((await session.renew(token)).equals(token)).toBe(false);
  });

  it('that the server takes no signature of is refused before a browser opens', async () => {
    const { issuer } = await provider();
    const metadata = await metadataWith(issuer, {
      token_endpoint_auth_signing_alg_values_supported: ['RS256'],
    });
    const edges = world.process();
    const settings = { clientId: 'by-EdDSA', clientKey: await keyFile(keys.EdDSA), metadata };
    const error = await refusal(world.login(edges, {}, settings));
    expect(error.message).toMatch(/signs with EdDSA, Ed25519; .* takes RS256/);
    expect(edges.opened).toEqual([]);
  });

  it('that others can read is told, with what to type', async () => {
    await provider();
    const clientKey = await keyFile(keys.ES256);
    await chmod(clientKey, 0o644);
    const edges = world.process();
    await world.login(edges, {}, { clientId: 'by-ES256', clientKey });
    expect(edges.lines.join()).toContain(`chmod 600 ${clientKey}`);
  });

  it(threat('S7', 'proves a client to the issuer of its first sign-in, to no other'), async () => {
    await provider();
    const settings = { clientId: 'by-ES256', clientKey: await keyFile(keys.ES256) };
    await world.login(world.process(), {}, settings);
    const evil = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.issuer] });
    const error = await refusal(world.login(world.process(), {}, settings));
    expect(error.code).toBe('metadata_invalid');
    expect(error.message).toContain('the key of client by-ES256');
    expect(evil.at('token')).toEqual([]);
  });

  it(threat('S3', 'an assertion that the server echoes is not shown'), async () => {
    world.issuer.behaviour.token = (form) =>
      replyJson(400, { error: 'invalid_request', error_description: `no ${form.get('client_assertion')}` });
    const edges = world.process();
    const settings = { clientId: 'given', clientKey: await keyFile(keys.ES256) };
    const error = await refusal(world.login(edges, {}, settings));
    expect(error.message).toContain('no [redacted]');
    expect(edges.lines.join() + error.message).not.toContain('eyJ');
  });
});

describe('a secret that a person is asked for', () => {
  const asking = (answers: string[]) => {
    const asked: string[] = [];
    const edges = Object.assign(world.process(), {
      askClientSecret: async (...whose: string[]) => {
        asked.push(whose.join(' at '));
        return new Secret(answers.shift() ?? '');
      },
    });
    return { edges, asked };
  };

  it('is asked for with the name of who gets it, used at refresh and revocation, and forgotten at logout', async () => {
    const { issuer, grants } = await provider({ opaque: true });
    const { edges, asked } = asking([secretText]);
    await world.login(edges, {}, { clientId: 'by-post' });
    expect(asked).toEqual([`by-post at ${issuer}`]);
    expect(edges.lines.join()).not.toContain(secretText);
    expect(JSON.stringify([...world.shared.index.values()])).not.toContain(secretText);
    const session = createSession(world.process(), world.settings);
    await session.renew(await session.current());
    expect(await logout(world.process(), world.settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(grants.map((it) => it.method)).toEqual(['client_secret_post', 'client_secret_post']);
    expect(world.shared.entries.size).toBe(0);
  });

  it('serves the next sign-in here without being asked for again', async () => {
    const { grants } = await provider();
    await world.login(asking([secretText]).edges, {}, { clientId: 'by-post' });
    expect(await world.login(world.process(), {}, { clientId: 'by-post' })).toMatchObject({
      subject: 'dora',
    });
    expect(grants).toHaveLength(2);
  });

  it(threat('S7', 'goes to no other issuer, asked for anew or kept'), async () => {
    await provider();
    await world.login(asking([secretText]).edges, {}, { clientId: 'by-post' });
    const evil = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.issuer] });
    const again = asking([secretText]);
    for (const edges of [world.process(), again.edges]) {
      const error = await refusal(world.login(edges, {}, { clientId: 'by-post' }));
      expect(error.code).toBe('metadata_invalid');
      expect(error.hint).toContain('mcp-whoami logout');
    }
    expect(again.asked).toEqual([]);
    expect(evil.at('token')).toEqual([]);
  });

  it(threat('S7', 'also where nothing but memory knows the first issuer'), async () => {
    await provider();
    const edges = Object.assign(world.process('memory'), {
      askClientSecret: async () => new Secret(secretText),
    });
    await world.login(edges, {}, { clientId: 'by-post' });
    const evil = world.keep(await startIssuer());
    world.resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.issuer] });
    const settings = { clientId: 'by-post', clientSecret: new Secret(secretText) };
    expect((await refusal(world.login(world.process('memory'), {}, settings))).code).toBe('metadata_invalid');
    expect(evil.at('token')).toEqual([]);
  });
});
