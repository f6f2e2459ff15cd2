import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readServerCertificate, warnOfValidity } from '../../../src/cli/server-certificate.ts';
import { createLog } from '../../../src/lib/log.ts';
import { type Authority, createAuthority } from '../../support/certificates.ts';
import { threat } from '../../support/threats.ts';

let authority: Authority;
let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(() => {
  authority = createAuthority();
  folder = mkdtempSync(join(tmpdir(), 'tls-'));
  for (const name of ['one', 'two']) {
    const { cert, key } = authority.issue(['localhost']);
    writeFileSync(at(`${name}.pem`), cert + authority.pem);
    writeFileSync(at(`${name}.key`), key);
  }
  writeFileSync(at('empty'), '');
});
afterAll(() => {
  authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

test('a certificate with its chain and its key', async () => {
  const read = await readServerCertificate(at('one.pem'), at('one.key'));
  expect(read?.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  expect(await readServerCertificate(undefined, undefined)).toBeUndefined();
});

test(threat('S3', 'the private key does not show, however it is turned into text'), async () => {
  const read = await readServerCertificate(at('one.pem'), at('one.key'));
  expect(`${JSON.stringify(read)} ${read?.key}`).not.toContain('PRIVATE KEY');
});

test.each<[string, string | undefined, string | undefined, RegExp]>([
  ['no key', 'one.pem', undefined, /^--tls-cert needs --tls-key$/],
  ['no certificate', undefined, 'one.key', /^--tls-key needs --tls-cert$/],
  [
    'a file that is not there',
    'nothing.pem',
    'one.key',
    /^--tls-cert: \S+nothing.pem cannot be read: ENOENT/,
  ],
  ['an empty file', 'empty', 'one.key', /^--tls-cert: \S+ holds no certificate$/],
  ['the two swapped', 'one.key', 'one.pem', /^--tls-cert: \S+one.key holds no certificate$/],
  ['a certificate twice', 'one.pem', 'one.pem', /^--tls-key: \S+one.pem holds no private key/],
  ['the key of another', 'one.pem', 'two.key', /^--tls-key: \S+two.key is not the key of the certificate in/],
])('%s: usage, and which file it is', async (_what, cert, key, message) => {
  const name = (file: string | undefined) => file && at(file);
  const error = await readServerCertificate(name(cert), name(key)).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'usage', message: expect.stringMatching(message) });
});

test.each([
  [30, ''],
  [3, 'runs out soon'],
  [-1, 'has run out'],
])('%d days left: %s', async (days, said) => {
  const { cert, key } = authority.issue(['localhost'], 40);
  writeFileSync(at('long.pem'), cert);
  writeFileSync(at('long.key'), key);
  const read = await readServerCertificate(at('long.pem'), at('long.key'));
  const logged: string[] = [];
  const log = createLog({ level: 'info', write: (line) => void logged.push(line) });
  if (read) warnOfValidity(read, log, Date.now() + (40 - days) * 24 * 60 * 60_000);
  expect(logged).toEqual(said ? [expect.stringContaining(said)] : []);
});
