import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createCallerOf } from '../../../src/server/caller.ts';
import { threat } from '../../support/threats.ts';
import { call, openWorld } from './support/world.ts';

const request = (peer: string | undefined, forwarded?: string) =>
  ({
    socket: { remoteAddress: peer },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }) as unknown as IncomingMessage;

describe('who the caller is', () => {
  const callerOf = createCallerOf(() => ['10.0.0.0/8', '127.0.0.0/8', 'fd00::/8']);
  test.each<[string, string | undefined, string | undefined, string | undefined]>([
    ['without the header: the peer', '10.0.0.1', undefined, '10.0.0.1'],
    ['one proxy', '10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['two proxies', '10.0.0.1', '203.0.113.7, 10.9.9.9', '203.0.113.7'],
    ['what the client wrote stands left of what is true', '10.0.0.1', '1.1.1.1, 203.0.113.7', '203.0.113.7'],
    ['a proxy that writes the port', '10.0.0.1', '203.0.113.7:4711', '203.0.113.7'],
    ['IPv6', 'fd00::1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['an IPv4 proxy on an IPv6 socket', '::ffff:10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['proxies alone', '10.0.0.1', '10.2.2.2, 10.3.3.3', '10.2.2.2'],
    ['something that is no address ends it', '10.0.0.1', '203.0.113.7, unknown, 10.2.2.2', '10.2.2.2'],
    ['an empty header', '10.0.0.1', '', '10.0.0.1'],
    ['a connection that has gone', undefined, '203.0.113.7', undefined],
  ])('%s', (_what, peer, forwarded, caller) => {
    expect(callerOf(request(peer, forwarded))).toBe(caller);
  });

  test(threat('R14', 'from somebody who is no trusted proxy the header is not read'), () => {
    expect(callerOf(request('203.0.113.9', '1.2.3.4'))).toBe('203.0.113.9');
    expect(createCallerOf(() => [])(request('127.0.0.1', '1.2.3.4'))).toBe('127.0.0.1');
  });

  test('who is trusted may change', () => {
    let trusted: readonly string[] = [];
    const changing = createCallerOf(() => trusted);
    expect(changing(request('10.0.0.1', '1.2.3.4'))).toBe('10.0.0.1');
    trusted = ['10.0.0.0/8'];
    expect(changing(request('10.0.0.1', '1.2.3.4'))).toBe('1.2.3.4');
  });
});

describe('what it decides', () => {
  const flood = async (trustProxy: readonly string[]) => {
    const world = await openWorld({ settings: { trustProxy } });
    const attempt = async (i: number, from: string) =>
      (await world.rpc(`bad${i}`, call(), { 'X-Forwarded-For': from })).status;
    // The clock stands: nothing is filled up meanwhile.
    const refused = await Promise.all(Array.from({ length: 100 }, (_, i) => attempt(i, '203.0.113.7')));
    expect(new Set(refused)).toEqual(new Set([401]));
    const document = await world.send('GET', '/.well-known/oauth-protected-resource/mcp', {
      'X-Forwarded-For': '203.0.113.7',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Proto': 'https',
      Forwarded: 'for=203.0.113.7;host=evil.example;proto=https',
    });
    expect(document.json().resource).toBe(`${world.origin}/mcp`);
    const others = await Promise.all(Array.from({ length: 60 }, (_, i) => attempt(200 + i, '203.0.113.8')));
    await world.close();
    return { others, log: world.log() };
  };

  test(
    threat('R14', 'a trusted proxy tells callers apart: one pays for its own wrong tokens; URLs stay'),
    async () => {
      const { others, log } = await flood(['127.0.0.0/8']);
      expect(new Set(others)).toEqual(new Set([401]));
      expect(log).toContain('from="203.0.113.8"');
    },
  );

  test(threat('R14', 'without it the header buys nobody a second share'), async () => {
    const { others, log } = await flood([]);
    expect(others).toContain(429);
    expect(log).not.toContain('203.0.113');
  });
});
