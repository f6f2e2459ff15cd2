import { describe, expect, it } from 'vitest';
import type { Client } from '../../../src/auth/client/client.ts';
import type { AuthorizationServer } from '../../../src/auth/discovery/issuer-metadata.ts';
import { chooseAlgorithm, proofWish } from '../../../src/auth/dpop/binding.ts';
import { dpopAlgorithms, makeDpopKey, parseDpopKey, printDpopKey } from '../../../src/auth/dpop/key.ts';
import { createProver } from '../../../src/auth/dpop/prover.ts';
import { BoundToken } from '../../../src/lib/access.ts';
import { dpopChallenge } from '../../../src/lib/challenge.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { judgeProof } from '../../support/dpop-verifier.ts';
import { threat } from '../../support/threats.ts';

const metadata = (required: boolean, algorithms?: string[]) => ({
  dpopRequired: required,
  dpopAlgorithms: algorithms,
});

describe('what a resource says about bound tokens', () => {
  it.each([
    ['Bearer', undefined, undefined],
    ['Bearer', metadata(false), undefined],
    ['Bearer', metadata(false, []), undefined],
    ['Basic realm="DPoP"', undefined, undefined],
    ['Bearer', metadata(true), { required: true, algorithms: undefined }],
    ['Bearer', metadata(false, ['ES256']), { required: false, algorithms: ['ES256'] }],
    ['DPoP algs="ES256 PS256", Bearer', undefined, { required: false, algorithms: ['ES256', 'PS256'] }],
    ['Bearer, DPoP', metadata(false, ['RS256']), { required: false, algorithms: ['RS256'] }],
    ['DPoP algs="ES384"', metadata(false, ['RS256']), { required: true, algorithms: ['ES384'] }],
    ['DPoP', undefined, { required: true, algorithms: undefined }],
    ['Basic, DPoP', undefined, { required: true, algorithms: undefined }],
  ])('%s and metadata %j: %j', (header, told, wish) => {
    expect(proofWish(dpopChallenge(header), told)).toEqual(wish);
  });
});

describe('whether a sign-in asks for bound tokens', () => {
  const server = (algorithms?: string[]) =>
    ({ issuer: 'https://a.example', dpop_signing_alg_values_supported: algorithms }) as AuthorizationServer;
  const client = { id: 'c', secret: undefined, authMethod: 'none', dynamic: true } as Client;
  const takes = { required: false, algorithms: undefined };
  const wants = { required: true, algorithms: undefined };

  it.each([
    ['the server offers, the resource is silent', undefined, ['ES256'], undefined],
    ['the resource takes, the server does not offer', takes, undefined, undefined],
    ['the resource takes, the server offers what we lack', takes, ['XX'], undefined],
    ['both', takes, ['RS256', 'ES256'], { algorithm: 'ES256', required: false }],
    ['both, without ES256', takes, ['RS256', 'PS256'], { algorithm: 'PS256', required: false }],
    ['the resource wants', wants, ['ES384'], { algorithm: 'ES384', required: true }],
    [
      'the resource wants what both list',
      { required: true, algorithms: ['RS256'] },
      ['ES256', 'RS256'],
      { algorithm: 'RS256', required: true },
    ],
    ['they have nothing in common', { required: false, algorithms: ['ES256'] }, ['RS256'], undefined],
  ])('%s', (_what, wish, offered, choice) => {
    expect(chooseAlgorithm(wish, server(offered), client)).toEqual(choice);
  });

  it.each([
    ['not offered', undefined],
    ['offered with nothing that both know', ['RS256']],
  ])('wanted, and %s: an error, no browser', (_what, offered) => {
    const wish = { required: true, algorithms: ['ES256'] };
    expect(() => chooseAlgorithm(wish, server(offered), client)).toThrow(/https:\/\/a\.example/);
  });

  it('our registration says so: always', () => {
    const bound = { ...client, bindsTokens: true };
    expect(chooseAlgorithm(undefined, server(), bound)).toEqual({ algorithm: 'ES256', required: true });
    expect(chooseAlgorithm(undefined, server(['PS256']), bound)).toMatchObject({ algorithm: 'PS256' });
  });
});

describe('a key', () => {
  it.each([...dpopAlgorithms])('of %s signs proofs that verify', async (name) => {
    const key = await makeDpopKey(name);
    const kept = parseDpopKey(JSON.parse(JSON.stringify(printDpopKey(key))));
    const prover = createProver(kept as typeof key, () => 1_000_999);
    const token = new Secret('token');
    const url = new URL('https://a.example:8443/mcp?x=1#y');
    const proof = await prover.prove('GET', url, token);
    const target = 'https://a.example:8443/mcp';
    const expected = {
      method: 'GET',
      target,
      token: 'token',
      nonces: [],
      used: new Set<string>(),
      now: 1_000,
    };
    expect(judgeProof(proof, expected)).toMatchObject({ thumbprint: await prover.thumbprint() });
    expect(judgeProof(proof, expected)).toEqual({ error: 'invalid_dpop_proof', why: 'jti' });
    expect(proof).not.toContain(JSON.parse(key.jwk.reveal()).d);
  });

  it('nonces are kept by origin; what is none is not', async () => {
    const prover = createProver(await makeDpopKey('ES256'), Date.now);
    const [here, there] = [new URL('https://a.example/mcp'), new URL('https://b.example/mcp')];
    const nonceFor = async (url: URL) => {
      const [, payload = ''] = (await prover.prove('GET', url, new Secret('t'))).split('.');
      return JSON.parse(Buffer.from(payload, 'base64url').toString()).nonce as unknown;
    };
    prover.heard(here, 'n1');
    for (const bad of [undefined, '', 'a b', 'a"b', 'a\\b', 'é', 'x'.repeat(1025)]) prover.heard(here, bad);
    expect([await nonceFor(here), await nonceFor(there)]).toEqual(['n1', undefined]);
  });

  it(threat('S3', 'no text that a bound token turns into shows it, or its key'), async () => {
    const token = new BoundToken(new Secret('value'), createProver(await makeDpopKey('ES256'), Date.now));
    const { inspect } = await import('node:util');
    for (const text of [
      `${token}`,
      JSON.stringify({ token }),
      inspect({ token }, { depth: 9, showHidden: true }),
    ]) {
      expect(text).not.toMatch(/value|kty/);
    }
  });
});
