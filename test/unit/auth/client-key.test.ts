import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  algorithmFor,
  importForSigning,
  publicJwk,
  readClientKey,
} from '../../../src/auth/client/client-key.ts';
import { refusal } from './support/world.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-whoami-key-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(text: string, mode = 0o600): Promise<string> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.key`);
  await writeFile(file, text, { mode });
  return file;
}
const pem = (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1') => String(key.export({ type, format: 'pem' }));

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;
const p256 = ec('P-256');

describe('a key is read', () => {
  it.each<[string, () => string, string]>([
    ['RSA, PKCS#8', () => pem(rsa, 'pkcs8'), 'RS256'],
    ['RSA, PKCS#1', () => pem(rsa, 'pkcs1'), 'RS256'],
    ['EC, SEC1', () => pem(p256, 'sec1'), 'ES256'],
    ['EC, PKCS#8', () => pem(p256, 'pkcs8'), 'ES256'],
    ['EC P-384', () => pem(ec('P-384'), 'pkcs8'), 'ES384'],
    ['EC P-521', () => pem(ec('P-521'), 'sec1'), 'ES512'],
    ['Ed25519', () => pem(ed25519, 'pkcs8'), 'EdDSA'],
    ['JWK', () => JSON.stringify(p256.export({ format: 'jwk' })), 'ES256'],
    [
      'JWK with white space and a line break',
      () => `\n ${JSON.stringify(rsa.export({ format: 'jwk' }))}\n`,
      'RS256',
    ],
  ])('%s', async (_name, text, algorithm) => {
    const key = await readClientKey(await fileOf(text()));
    expect(algorithmFor(key, undefined)).toBe(algorithm);
    for (const each of key.algorithms) {
      const signing = await importForSigning(key, each);
      expect(signing).toMatchObject({ type: 'private', usages: ['sign'], extractable: false });
    }
  });

  it('with the algorithm that the server lists', async () => {
    const key = await readClientKey(await fileOf(pem(rsa, 'pkcs8')));
    expect(algorithmFor(key, ['ES256', 'PS256'])).toBe('PS256');
    expect(algorithmFor(key, ['PS256', 'RS256'])).toBe('RS256');
    expect(algorithmFor(key, ['ES256'])).toBeUndefined();
    expect(algorithmFor(await readClientKey(await fileOf(pem(ed25519, 'pkcs8'))), ['Ed25519'])).toBe(
      'Ed25519',
    );
  });

  it('kid, x5t and alg of a JWK are kept', async () => {
    const jwk = { ...rsa.export({ format: 'jwk' }), kid: 'k-1', 'x5t#S256': 'abc', alg: 'PS256' };
    const key = await readClientKey(await fileOf(JSON.stringify(jwk)));
    expect(key.names).toEqual({ kid: 'k-1', 'x5t#S256': 'abc' });
    expect(key.algorithms).toEqual(['PS256']);
  });

  it('a certificate beside it gives its thumbprint', async () => {
    const [file, certificate] = [join(folder, 'with.key'), join(folder, 'with.crt')];
    const subject = ['-subj', '/CN=client', '-days', '1'];
    const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file, '-out', certificate];
    execFileSync('openssl', [...make, ...subject], { stdio: 'ignore' });
    const { readFile } = await import('node:fs/promises');
    const both = `${await readFile(certificate, 'utf8')}${await readFile(file, 'utf8')}`;
    const der = execFileSync('openssl', ['x509', '-in', certificate, '-outform', 'DER']);
    const thumbprint = Buffer.from(await webcrypto.subtle.digest('SHA-256', der)).toString('base64url');
    const key = await readClientKey(await fileOf(both));
    expect(key.names).toEqual({ 'x5t#S256': thumbprint });
  });

  it('its public half has no private member', async () => {
    const jwk = { ...p256.export({ format: 'jwk' }), kid: 'k-2' };
    const half = publicJwk(await readClientKey(await fileOf(JSON.stringify(jwk))), 'ES256');
    expect(half).toEqual({
      kty: 'EC',
      crv: 'P-256',
      x: jwk.x,
      y: jwk.y,
      kid: 'k-2',
      alg: 'ES256',
      use: 'sig',
    });
  });

  it('exposed: others on the machine can read it', async () => {
    const file = await fileOf(pem(p256, 'pkcs8'));
    expect((await readClientKey(file)).exposed).toBe(false);
    await chmod(file, 0o644);
    expect((await readClientKey(file)).exposed).toBe(true);
  });
});

describe('a key that cannot be used: why, the file, the next step, and nothing of its text', () => {
  const ownCurve = () => pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey, 'pkcs8');
  const locked = () =>
    String(p256.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }));
  const lockedOldForm = () =>
    String(p256.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }));
  const half = () => JSON.stringify({ ...p256.export({ format: 'jwk' }), d: undefined });
  it.each<[string, () => string, string, string?]>([
    ['nothing', () => '', 'holds no private key'],
    [
      'a public key',
      () => String(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })),
      'holds no private key',
    ],
    ['a passphrase', locked, 'passphrase', 'openssl pkey'],
    ['a passphrase in the old form', lockedOldForm, 'passphrase', 'openssl pkey'],
    ['a damaged one', () => pem(p256, 'pkcs8').replace(/MI/, 'AA'), 'damaged'],
    ['a curve of its own', ownCurve, 'kind'],
    [
      'a short RSA key',
      () => pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, 'pkcs8'),
      '2048',
    ],
    [
      'DSA',
      () => pem(generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey, 'pkcs8'),
      'kind dsa',
    ],
    ['the form of ssh', () => '-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n', 'ssh', 'ssh-keygen'],
    ['half a JWK', () => '{"kty":"EC","d":"s3cret"', 'not JSON'],
    ['a public JWK', half, 'no private part'],
    ['a JWK of rubbish', () => '{"kty":"EC","d":"s3cret"}', 'damaged'],
    ['a JWK set', () => '{"keys":[{"d":"s3cret"}]}', 'set of keys'],
    ['a shared secret', () => '{"kty":"oct","k":"s3cret"}', 'MCP_WHOAMI_CLIENT_SECRET'],
    [
      'an alg that does not fit',
      () => JSON.stringify({ ...p256.export({ format: 'jwk' }), alg: 'RS256' }),
      'RS256',
    ],
    ['a huge file', () => 'x'.repeat(70_000), 'too large'],
  ])('%s', async (_name, text, word, step) => {
    const file = await fileOf(text());
    const error = await refusal(readClientKey(file));
    expect(error.code).toBe('sign_in_failed');
    expect(error.message).toContain(file);
    expect(error.message).toContain(word);
    expect(error.hint).toContain(step ?? '--client-key');
    expect(`${error.message}${error.hint}${error.stack}${error.cause}`).not.toContain('s3cret');
  });

  it.each([
    ['not there', () => join(folder, 'missing'), 'ENOENT'],
    ['a folder', () => folder, 'no file'],
  ])('%s', async (_name, file, word) => {
    const error = await refusal(readClientKey(file()));
    expect(error.message).toContain(word);
    expect(error.hint).toContain('--client-key FILE');
  });
});
