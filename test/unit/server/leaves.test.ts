import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeJwt } from '../../../src/lib/jwt-text.ts';
import { publicAddress } from '../../../src/server/address.ts';
import { credentialsOf } from '../../../src/server/bearer.ts';
import { createRejections, networkOf } from '../../../src/server/rejections.ts';
import { admittedProblem, claimsProblem } from '../../../src/server/verify/jwt-claims.ts';
import { threat } from '../../support/threats.ts';
import { defaults } from './support/world.ts';

describe('the public address', () => {
  test('on loopback: three names, one port', () => {
    const address = publicAddress(defaults, 3001);
    expect(address.sites.map(({ base }) => base)).toEqual([
      'http://localhost:3001',
      'http://127.0.0.1:3001',
      'http://[::1]:3001',
    ]);
    expect(address.siteOf('localhost')).toBeUndefined();
    expect(address.siteOf(undefined)).toBeUndefined();
  });

  test('on port 80 the port may be left out', () => {
    const address = publicAddress(defaults, 80);
    expect(address.siteOf('localhost')?.base).toBe('http://localhost');
    expect(address.siteOf('localhost:80')?.base).toBe('http://localhost');
  });

  test('another loopback address is a name of its own', () => {
    const address = publicAddress({ ...defaults, host: '127.0.0.9' }, 3001);
    expect(address.siteOf('127.0.0.9:3001')?.origin).toBe('http://127.0.0.9:3001');
  });

  test('on all interfaces only the public name is ours, and pages of this machine are strangers', () => {
    const publicUrl = new URL('https://who.example');
    const address = publicAddress({ ...defaults, host: '0.0.0.0', publicUrl }, 3001);
    expect(address.siteOf('who.example')?.base).toBe('https://who.example');
    expect(address.siteOf('localhost:3001')).toBeUndefined();
    expect(address.siteOf('0.0.0.0:3001')).toBeUndefined();
    expect(address.admits('http://localhost:6274')).toBe(false);
    expect(address.admits('https://who.example')).toBe(true);
    expect(address.admits('null')).toBe(false);
  });
});

describe('credentials', () => {
  test(threat('R7', 'no header makes it throw, and a token is always of the grammar of RFC 6750'), () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.boolean(), (authorization, query, repeated) => {
        const found = credentialsOf({ authorization }, repeated, query);
        if (found.kind === 'token') expect(found.token).toMatch(/^[A-Za-z0-9\-._~+/]+=*$/);
      }),
    );
  });

  test('64 KB of one character take no time to speak of', () => {
    for (const text of ['a', '=', ' ', '.', '"']) {
      const started = performance.now();
      credentialsOf({ authorization: `Bearer ${text.repeat(65_536)}!` }, false, text.repeat(65_536));
      expect(performance.now() - started).toBeLessThan(500);
    }
  });
});

test('taking a JWT apart never throws, and never follows a prototype', () => {
  fc.assert(fc.property(fc.string(), (text) => void decodeJwt(text)));
  fc.assert(
    fc.property(fc.json(), fc.json(), (header, payload) => {
      const part = (text: string) => Buffer.from(text).toString('base64url');
      void decodeJwt(`${part(header)}.${part(payload)}.x`);
    }),
  );
  const part = Buffer.from('{"__proto__":{"iss":"x"}}').toString('base64url');
  expect(decodeJwt(`${part}.${part}.x`)?.payload.iss).toBeUndefined();
});

describe('rejections', () => {
  test('addresses have buckets of their own, which fill up again', () => {
    let now = 0;
    const rejections = createRejections(() => now);
    for (let i = 0; i < 100; i++) expect(rejections.charge('192.0.2.1')).toBe(true);
    expect(rejections.charge('192.0.2.1')).toBe(false);
    expect(rejections.charge('192.0.2.2')).toBe(true);
    now += 1_000;
    for (let i = 0; i < 20; i++) expect(rejections.charge('192.0.2.1')).toBe(true);
    expect(rejections.charge('192.0.2.1')).toBe(false);
    now -= 60_000;
    expect(rejections.charge('192.0.2.1')).toBe(false);
  });

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ])('%s counts as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

test(threat(['R4', 'R19'], 'each way of judging a token refuses one of another issuer by itself'), () => {
  const now = 1_000_000;
  const payload = { iss: 'https://other.example', sub: 'a', exp: now + 60, aud: 'https://a.example' };
  const jwt = { header: {}, payload };
  const foreign = 'The access token is from another issuer';
  expect(admittedProblem(jwt, 'https://as.example', now)).toBe(foreign);
  const audience = { accepted: ['https://a.example'], byName: false };
  expect(claimsProblem(jwt, { issuer: 'https://as.example', audience, now })).toBe(foreign);
});
