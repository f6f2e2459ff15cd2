import { connect } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../src/lib/secret.ts';
import { type Authority, type Certificate, createAuthority } from '../../support/certificates.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';
import { defaultRules, defaults, openWorld } from './support/world.ts';

let authority: Authority;
let first: Certificate;
let second: Certificate;
beforeAll(() => {
  authority = createAuthority();
  first = authority.issue(['localhost']);
  second = authority.issue(['localhost', 'renewed.test']);
});
afterAll(() => authority.remove());

const given = ({ cert, key }: Certificate) => ({ cert, key: new Secret(key) });

/** A handshake, and one request where it succeeds. Out: the answer, and what the server proved itself with. */
function ask(port: number, options = {}): Promise<{ text: string; names: string; protocol: string | null }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket: TLSSocket = connectTls(
      { port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem, ...options },
      () => socket.write(`GET / HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`),
    );
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    const names = () => socket.getPeerCertificate().subjectaltname ?? '';
    socket.once('end', () => resolve({ text, names: names(), protocol: socket.getProtocol() }));
    socket.once('error', reject);
  });
}

describe('TLS by the server itself', () => {
  test('every address it names is https', async () => {
    const world = await openWorld({ settings: { tls: given(first) } });
    const { port, origins, resources } = world.server;
    expect(origins).toContain(`https://localhost:${port}`);
    expect(resources).toContain(`https://127.0.0.1:${port}/mcp`);
    const { text, protocol } = await ask(port);
    expect(text).toContain(`"sse":"https://localhost:${port}/sse"`);
    expect(protocol).toBe('TLSv1.3');
    await world.close();
  });

  test('TLS 1.2 is the oldest that is spoken', async () => {
    const world = await openWorld({ settings: { tls: given(first) } });
    const { port } = world.server;
    expect((await ask(port, { maxVersion: 'TLSv1.2' })).protocol).toBe('TLSv1.2');
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(ask(port, old)).rejects.toThrow(/version/i);
    await world.close();
  });

  test('another certificate proves the connections that come after it', async () => {
    const world = await openWorld({ settings: { tls: given(first) } });
    const { port } = world.server;
    expect((await ask(port)).names).not.toContain('renewed.test');
    const issuers = [{ ...defaultRules, issuer: world.provider.issuer }];
    world.server.change({ ...defaults, issuers, tls: given(second) });
    expect((await ask(port)).names).toContain('renewed.test');
    await expect(ask(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).rejects.toThrow();
    await world.close();
  });

  test('the end comes also for who shakes hands for ever, and for who says nothing after it', async () => {
    const world = await openWorld({ settings: { tls: given(first) } });
    const { port } = world.server;
    const half = connect(port, '127.0.0.1');
    const silent = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.pem });
    let gone = 0;
    for (const socket of [half, silent]) socket.on('error', () => {}).on('close', () => gone++);
    await new Promise((resolve) => silent.once('secureConnect', resolve));
    await world.close();
    await until('both ends', 5_000, () => gone === 2);
    // Node would wait 10 s for the handshake, longer than this test may take.
  }, 8_000);

  test(threat('R16', 'plain http is not answered there'), async () => {
    const world = await openWorld({ settings: { tls: given(first) } });
    const answer = world.send('GET', '/');
    await expect(answer).rejects.toThrow();
    await world.close();
  });
});
