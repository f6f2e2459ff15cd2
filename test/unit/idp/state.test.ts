import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as oauth from 'openid-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openProviderStore } from '../../../src/idp/adapter.ts';
import { loadKeys } from '../../../src/idp/keys.ts';
import { openStore } from '../../../src/idp/store.ts';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { createLog, silentLog } from '../../../src/lib/log.ts';
import { threat } from '../../support/threats.ts';
import { allScopes, openWorld, register, request, resource } from './support.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'idp-state-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('a restart', () => {
  it('keeps keys, registrations, refresh tokens and consents', async () => {
    const first = await openWorld({ stateDir: dir });
    const client = await register(first);
    const parameters = { redirect_uri: first.redirects.uri, scope: allScopes, prompt: 'consent', resource };
    const one = await request(client, parameters);
    const tokens = await one.exchange(await visitAsDemoUser(one.url.href, 'alice'));
    const jwks = await (await fetch(`${first.provider.issuer}/jwks`)).json();
    await first.close();
    expect((await stat(join(dir, 'state.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'keys.json'))).mode & 0o777).toBe(0o600);

    const second = await openWorld({ stateDir: dir, port: Number(new URL(first.provider.issuer).port) });
    expect(await (await fetch(`${second.provider.issuer}/jwks`)).json()).toEqual(jwks);
    const renewed = await oauth.refreshTokenGrant(client, tokens.refresh_token ?? '');
    expect(renewed.access_token).toBeTruthy();
    const two = await request(client, { ...parameters, redirect_uri: second.redirects.uri });
    expect((await two.exchange(await visitAsDemoUser(two.url.href, 'alice'))).claims()?.sub).toBe('alice');
    await second.close();
  });

  it('knows tokens and codes that its file does not tell', async () => {
    const world = await openWorld({ stateDir: dir });
    const client = await register(world);
    const one = await request(client, {
      redirect_uri: world.redirects.uri,
      scope: allScopes,
      prompt: 'consent',
    });
    const redirect = await visitAsDemoUser(one.url.href, 'alice');
    const tokens = await one.exchange(redirect);
    const secrets = [
      tokens.access_token,
      tokens.refresh_token ?? '',
      new URL(redirect).searchParams.get('code') ?? '',
    ];
    expect(secrets.every((secret) => secret.length > 20)).toBe(true);
    await world.close();
    const text = await readFile(join(dir, 'state.json'), 'utf8');
    expect(text).toContain('alice');
    for (const secret of secrets) expect(text).not.toContain(secret);
  });

  it('starts anew from files that cannot be understood, and says so', async () => {
    await writeFile(join(dir, 'state.json'), '{"version":1,"models"');
    await writeFile(join(dir, 'keys.json'), '{"signing":{}}');
    const world = await openWorld({ stateDir: dir });
    expect((await fetch(`${world.provider.issuer}/jwks`)).status).toBe(200);
    expect(world.lines.join('')).toMatch(/keys .* cannot be read[\s\S]*state .* cannot be read/);
    await register(world);
    await world.close();
    expect(JSON.parse(await readFile(join(dir, 'state.json'), 'utf8')).version).toBe(1);
  });
});

describe('the store', () => {
  const file = () => join(dir, 'state.json');
  const saved = async () => JSON.parse(await readFile(file(), 'utf8').catch(() => '{}'));

  it('is on the disk soon after a change, without being closed', async () => {
    const store = await openProviderStore(file(), silentLog);
    store.put('Grant', 'g', { clientId: 'c' }, 60);
    await vi.waitFor(
      async () => expect((await saved()).models.Grant.g.payload).toEqual({ clientId: 'c' }),
      5_000,
    );
    store.put('Grant', 'h', { clientId: 'c' }, 60);
    await vi.waitFor(async () => expect((await saved()).models.Grant).toHaveProperty('h'), 5_000);
    await store.close();
  });

  it('forgets what has expired, a while later', async () => {
    let now = 1_000_000;
    const options = { file: file(), log: silentLog, limit: () => 10, expendable: () => () => false };
    const store = await openStore({ ...options, now: () => now });
    store.put('Session', 's', { uid: 'u' }, 60);
    store.put('Client', 'c', { client_id: 'c' });
    now += 61_000;
    expect(store.get('Session', 's')).toBeDefined();
    now += 300_000;
    expect(store.get('Session', 's')).toBeUndefined();
    expect(store.find('Session', () => true)).toBeUndefined();
    await store.close();
    expect(await saved()).toMatchObject({ models: { Session: {}, Client: { c: {} } } });
    expect((await saved()).models.Session).toEqual({});
  });

  it(threat('R20', 'keeps at most 1,000 registrations: the oldest that nobody uses goes first'), async () => {
    const store = await openProviderStore(file(), silentLog);
    for (let i = 0; i < 1_000; i++) store.put('Client', `c${i}`, { client_id: `c${i}` });
    store.put('Grant', 'g', { clientId: 'c0' }, 60);
    store.put('Client', 'new', { client_id: 'new' });
    expect(store.get('Client', 'c0')).toBeDefined();
    expect(store.get('Client', 'c1')).toBeUndefined();
    expect(store.get('Client', 'c2')).toBeDefined();
    expect(store.get('Client', 'new')).toBeDefined();
    await store.close();
  });

  it('lets used-up refresh tokens make room for living ones', async () => {
    const store = await openProviderStore(file(), silentLog);
    store.put('RefreshToken', 'alive', { grantId: 'g' }, 60);
    store.put('RefreshToken', 'used', { grantId: 'g', consumed: 1 }, 60);
    for (let i = 0; i < 1_999; i++) store.put('RefreshToken', `t${i}`, { grantId: 'h' }, 60);
    expect(store.get('RefreshToken', 'alive')).toBeDefined();
    expect(store.get('RefreshToken', 'used')).toBeUndefined();
    await store.close();
  });

  it('says once that it cannot save, and goes on', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'warn', write: (line) => lines.push(line) });
    const gone = join(dir, 'gone');
    const store = await openProviderStore(join(gone, 'state.json'), log);
    await writeFile(gone, 'a file where the folder should be');
    store.put('Grant', 'g', {}, 60);
    await vi.waitFor(() => expect(lines).toHaveLength(1), 5_000);
    store.put('Grant', 'h', {}, 60);
    await store.close();
    expect(lines).toHaveLength(1);
    expect(store.get('Grant', 'h')).toBeDefined();
  });
});

describe('keys', () => {
  it('are made once, for their owner only', async () => {
    const file = join(dir, 'deep', 'keys.json');
    const made = await loadKeys(file, silentLog);
    expect(await loadKeys(file, silentLog)).toEqual(made);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'deep'))).mode & 0o777).toBe(0o700);
  });
});
