import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpTrusting } from '../../../src/cli/certificates.ts';
import { createHttpClient } from '../../../src/lib/http.ts';
import { type Authority, createAuthority } from '../../support/certificates.ts';

let ours: Authority;
let other: Authority;
let server: Server;
let folder: string;
let url: URL;
const http = createHttpClient({ userAgent: 'test/1' });

beforeAll(async () => {
  [ours, other] = [createAuthority(), createAuthority()];
  folder = mkdtempSync(join(tmpdir(), 'whoami-trust-'));
  server = createServer(ours.issue(['localhost']), (_, response) => response.end('here'));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = new URL(`https://localhost:${(server.address() as AddressInfo).port}/`);
});
afterAll(() => {
  http.close();
  server.closeAllConnections();
  server.close();
  for (const authority of [ours, other]) authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

function written(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const read = async (paths: string[], environment: Record<string, string> = {}) => {
  const files = paths.map((path) => ({ path, from: '--ca' }));
  return (await httpTrusting({ http, environment }, files)).read(url);
};

test('without a file it is the way out that there was', async () => {
  expect(await httpTrusting({ http, environment: {} }, undefined)).toBe(http);
  expect(await httpTrusting({ http, environment: {} }, [])).toBe(http);
  await expect(http.read(url)).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
});

test('one file, several certificates in one, several files, a DER file', async () => {
  const bundle = written('bundle.pem', `a comment\n${other.pem}\nanother\n${ours.pem}`);
  const der = written('ours.cer', new X509Certificate(ours.pem).raw);
  for (const files of [[ours.file], [bundle], [other.file, ours.file], [der]]) {
    expect(await read(files)).toMatchObject({ status: 200, body: 'here' });
  }
});

test('NODE_EXTRA_CA_CERTS counts beside it, and Node alone complains when it cannot be read', async () => {
  expect((await read([other.file], { NODE_EXTRA_CA_CERTS: ours.file })).status).toBe(200);
  await expect(read([other.file], { NODE_EXTRA_CA_CERTS: '/nowhere' })).rejects.toMatchObject({
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  });
});

test.each([
  ['is not there', () => join(folder, 'nothing'), /^--ca: .*nothing cannot be read: ENOENT/],
  ['is a folder', () => folder, /cannot be read: EISDIR/],
  ['holds a key', () => written('key.pem', ours.issue(['x']).key), /key\.pem holds no certificate$/],
  ['is cut off', () => written('half.pem', ours.pem.slice(0, 200)), /holds no certificate$/],
  ['is garbled', () => written('bad.pem', ours.pem.replace(/M../, 'AAA')), /holds no certificate$/],
])('a file that %s is told', async (_, file, message) => {
  await expect(read([file()])).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(message),
  });
});
