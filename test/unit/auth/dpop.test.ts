import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createProver, type Prover } from '../../../src/auth/dpop/prover.ts';
import { logout } from '../../../src/auth/logout.ts';
import { createSession } from '../../../src/auth/session.ts';
import type { TokenSet } from '../../../src/auth/tokens/token-set.ts';
import { openTokenStore } from '../../../src/auth/tokens/token-store.ts';
import { BoundToken } from '../../../src/lib/access.ts';
import { type DpopProvider, startDpopProvider } from '../../support/dpop-provider.ts';
import { type DpopResource, startDpopResource } from '../../support/dpop-resource.ts';
import { threat } from '../../support/threats.ts';
import { createWorld, type World } from './support/world.ts';

let world: World;
let provider: DpopProvider;
let resource: DpopResource;
beforeEach(async () => {
  world = await createWorld();
  provider = await startDpopProvider();
  resource = await startDpopResource('/mcp', provider.issuer);
  world.settings = { ...world.settings, server: new URL(resource.model.mcp) };
});
afterEach(async () => {
  await resource.stop();
  await provider.close();
  await world.close();
});

const stored = async (): Promise<TokenSet> => {
  const set = await openTokenStore(world.process(), world.settings).load();
  if (!set) throw new Error('nobody is signed in');
  return set;
};

/** Sends one request by hand, and once more when the resource wants its nonce in the proof. */
async function send(headers: () => Promise<Record<string, string>>, heard?: (nonce: string | null) => void) {
  const once = async () => {
    const answer = await fetch(resource.model.mcp, {
      method: 'POST',
      body: '{"jsonrpc":"2.0","method":"notifications/x"}',
      headers: await headers(),
    });
    heard?.(answer.headers.get('dpop-nonce'));
    return answer;
  };
  const first = await once();
  return first.headers.has('dpop-nonce') ? once() : first;
}
const verdicts = () => resource.judged.map(({ why }) => why);

describe('a sign-in to a server that takes bound tokens alone', () => {
  it('is told so by the metadata: the tokens are bound to a key that the vault keeps with them', async () => {
    const edges = world.process();
    expect(await world.login(edges)).toMatchObject({ subject: 'erin', issuer: provider.issuer });
    const set = await stored();
    expect(set.boundTo?.algorithm).toBe('ES256');
    const claims = JSON.parse(
      Buffer.from(set.accessToken.reveal().split('.')[1] ?? '', 'base64url').toString(),
    );
    const prover = createProver(set.boundTo as NonNullable<TokenSet['boundTo']>, Date.now);
    expect(claims.cnf).toEqual({ jkt: await prover.thumbprint() });
    expect(provider.count('/request')).toBe(1);
    // The code once without the provider's nonce, and once with it.
    expect(provider.count('/token')).toBe(2);
    expect(provider.grants).toEqual(['authorization_code']);
  });

  it('each sign-in has a key of its own', async () => {
    await world.login(world.process());
    const before = await stored();
    await world.login(world.process());
    expect((await stored()).boundTo?.jwk.equals(before.boundTo?.jwk)).toBe(false);
  });

  it(
    threat('S3', 'the key of bound tokens is in no log line, URL or index entry, nor in what a token prints'),
    async () => {
      const edges = world.process();
      await world.login(edges);
      const session = createSession(edges, world.settings);
      const token = await session.current();
      const { d } = JSON.parse((await stored()).boundTo?.jwk.reveal() ?? '{}') as { d: string };
      expect(d).toMatch(/^[\w-]{43}$/);
      const index = JSON.stringify([...world.shared.index.values()]);
      for (const text of [
        edges.lines.join(''),
        edges.opened.join(''),
        index,
        JSON.stringify({ token }),
        `${token}`,
      ]) {
        expect(text).not.toContain(d);
        expect(text).not.toContain('"kty"');
      }
    },
  );

  it('logout revokes what was bound', async () => {
    const edges = world.process();
    await world.login(edges);
    expect(await logout(edges, world.settings)).toEqual({ wasSignedIn: true, revoked: true });
    expect(provider.revocations()).toBe(1);
  });
});

describe('a session', () => {
  const bound = async (session = createSession(world.process(), world.settings)) => {
    const token = await session.current();
    if (!(token instanceof BoundToken)) throw new Error('no bound token');
    return token;
  };
  const url = () => new URL(resource.model.mcp);
  const present = (token: BoundToken) =>
    send(
      async () => ({ ...(await token.headersFor('POST', url())) }),
      (nonce) => token.heard(url(), nonce ?? undefined),
    );
  beforeEach(async () => {
    await world.login(world.process());
  });

  it('writes what the resource takes, and remembers its nonce, from errors and answers alike', async () => {
    const token = await bound();
    expect((await present(token)).status).toBe(202);
    expect((await present(token)).status).toBe(202);
    resource.rotate();
    expect((await present(token)).status).toBe(202);
    expect(verdicts()).toEqual(['nonce', undefined, undefined, 'nonce', undefined]);
  });

  it('a refresh keeps the key; another process has the same one, and the new token with it', async () => {
    const [one, two] = [world.process(), world.process()].map((edges) =>
      createSession(edges, world.settings),
    );
    const [first, second] = await Promise.all([bound(one), bound(two)]);
    await Promise.all([one?.renew(first), two?.renew(second)]);
    const [a, b] = await Promise.all([bound(one), bound(two)]);
    expect(a.equals(b)).toBe(true);
    expect(a.equals(first)).toBe(false);
    expect((await present(a)).status).toBe(202);
    expect((await present(b)).status).toBe(202);
    const prints = resource.judged.filter(({ status }) => status === 200).map(({ thumbprint }) => thumbprint);
    expect(new Set(prints).size).toBe(1);
    expect(provider.grants).toEqual(['authorization_code', 'refresh_token']);
  });

  it('the nonce of the resource outlasts the token', async () => {
    const session = createSession(world.process(), world.settings);
    const token = await bound(session);
    await present(token);
    await session.renew(token);
    expect((await present(await bound(session))).status).toBe(202);
    expect(verdicts()).toEqual(['nonce', undefined, undefined]);
  });
});

describe('the resource refuses', () => {
  let set: TokenSet;
  let prover: Prover;
  beforeEach(async () => {
    await world.login(world.process());
    set = await stored();
    prover = createProver(set.boundTo as NonNullable<TokenSet['boundTo']>, Date.now);
  });
  const url = () => new URL(resource.model.mcp);
  const proof = (method = 'POST', target = url()) => prover.prove(method, target, set.accessToken);
  const hear = (nonce: string | null) => prover.heard(url(), nonce ?? undefined);
  const withProof = (dpop: string) => ({ authorization: `DPoP ${set.accessToken.reveal()}`, dpop });
  /** The payload changed and signed again: nothing else is wrong with it. */
  const altered = async (change: Record<string, unknown>) => {
    const { importJWK, SignJWT } = await import('jose');
    const [header = '', payload = ''] = (await proof()).split('.');
    const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    const claims = { ...decode(payload), ...change };
    const key = await importJWK(JSON.parse(set.boundTo?.jwk.reveal() ?? ''), 'ES256');
    return new SignJWT(claims).setProtectedHeader(decode(header)).sign(key);
  };

  it('nothing, when nothing is altered', async () => {
    expect((await send(async () => withProof(await altered({})), hear)).status).toBe(202);
  });

  it.each([
    ['ath', { ath: undefined }],
    ['ath', { ath: 'x'.repeat(43) }],
    ['htm', { htm: 'GET' }],
    ['htu', { htu: 'http://127.0.0.1/other' }],
    ['iat', { iat: 1 }],
  ])(threat('C23', 'a proof whose %s is not right'), async (name, change) => {
    await send(async () => withProof(await proof()), hear);
    expect((await send(async () => withProof(await altered(change)), hear)).status).toBe(401);
    expect(verdicts().at(-1)).toBe(name);
  });

  it(threat('C23', 'a proof that was used before'), async () => {
    await send(async () => withProof(await proof()), hear);
    const once = withProof(await proof());
    expect((await send(async () => once)).status).toBe(202);
    expect((await send(async () => once)).status).toBe(401);
    expect(verdicts().at(-1)).toBe('jti');
  });

  it(threat('C23', "somebody else's key, no proof, and the token as a Bearer token"), async () => {
    await send(async () => withProof(await proof()), hear);
    await world.login(world.process(), {}, { profile: 'other' });
    const other = await openTokenStore(world.process(), { ...world.settings, profile: 'other' }).load();
    const stranger = createProver(other?.boundTo as NonNullable<TokenSet['boundTo']>, Date.now);
    const theirs = () => stranger.prove('POST', url(), set.accessToken);
    const heard = (nonce: string | null) => stranger.heard(url(), nonce ?? undefined);
    expect((await send(async () => withProof(await theirs()), heard)).status).toBe(401);
    expect(verdicts().at(-1)).toBe('jkt');
    expect((await send(async () => withProof(''))).status).toBe(401);
    const authorization = `Bearer ${set.accessToken.reveal()}`;
    expect((await send(async () => ({ authorization, dpop: await proof() }))).status).toBe(401);
  });
});
