import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AppError, asAppError, reasonOf } from '../../../src/lib/errors.ts';
import { nestsDeeperThan, parseJsonObject, stringMember } from '../../../src/lib/json.ts';
import { createLog } from '../../../src/lib/log.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { display, displayJson, escapeHtml, nearest } from '../../../src/lib/text.ts';
import { canonicalResource, isLoopbackHost, secureUrl, wellKnown } from '../../../src/lib/url.ts';
import { threat } from '../../support/threats.ts';

describe('Secret', () => {
  const secret = new Secret('eyJ-the-token');
  test.each([
    ['a template', `${secret}`],
    ['concatenation', 'token ' + secret],
    ['JSON', JSON.stringify({ secret, list: [secret] })],
    ['inspect', inspect({ secret, deep: { list: [secret] } }, { depth: 9, showHidden: true })],
    ['an error', String(new Error(`failed with ${secret}`))],
  ])(threat('S3', 'prints as [redacted] in %s'), (_, text) => {
    expect(text).toContain('[redacted]');
    expect(text).not.toContain('eyJ');
  });
  test('compares and reveals', () => {
    expect(secret.equals(new Secret('eyJ-the-token'))).toBe(true);
    expect(secret.equals(new Secret('other'))).toBe(false);
    expect(secret.equals(undefined)).toBe(false);
    expect(secret.reveal()).toBe('eyJ-the-token');
  });
});

describe('display', () => {
  test.each([
    ['terminal escapes', 'a\u001b[2Jb', 'a [2Jb'],
    ['line ends', 'a\r\nmcp-whoami: forged', 'a mcp-whoami: forged'],
    ['C1 controls', 'a\u009b31mb', 'a 31mb'],
    ['bidirectional overrides', 'a\u202egnp.exe\u2066b', 'a gnp.exe b'],
    ['zero width and separators', 'a\u200b\u2028\ufeffb', 'a b'],
    ['tags and selectors that only a model reads', 'a\u{e0001}\u{e0041}\u{e01ef}b', 'a b'],
  ])(threat('C17', 'strips %s'), (_, given, shown) => expect(display(given)).toBe(shown));
  test('caps the length', () => {
    expect(display('x'.repeat(5000))).toHaveLength(300);
    expect(display('x'.repeat(5000), 10)).toBe('xxxxxxxxx…');
  });
});

test(threat('C17', 'displayJson keeps every value, and nothing in it reaches a terminal unseen'), () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), fc.constantFrom(undefined, 2), (value, indent) => {
      const text = displayJson({ value, extra: 'a\u009b\u202e\u{e0041}\u2028' }, indent);
      expect((JSON.parse(text) as { value: unknown }).value).toEqual(JSON.parse(JSON.stringify(value)));
      expect(text).not.toMatch(
        /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e0fff}]/u,
      );
    }),
    { numRuns: 2_000 },
  );
});

test('escapeHtml leaves nothing that opens a tag, an entity or a quote', () => {
  expect(escapeHtml(`<script>"'&\``)).toBe('&#60;script&#62;&#34;&#39;&#38;&#96;');
});

test('nearest suggests slips, not guesses', () => {
  const commands = ['login', 'logout', 'status', 'serve', 'bridge'];
  expect(nearest('logn', commands)).toBe('login');
  expect(nearest('statsu', commands)).toBe('status');
  expect(nearest('frobnicate', commands)).toBeUndefined();
});

describe('log', () => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', write: (line) => lines.push(line) });
  test('one line an event, fields quoted, below the level nothing', () => {
    lines.length = 0;
    log.debug('hidden');
    log.warn('the server said', {
      text: 'a\nmcp-whoami: forged',
      token: new Secret('t0ken'),
      none: undefined,
    });
    expect(lines).toEqual([
      'mcp-whoami: warn: the server said text="a mcp-whoami: forged" token="[redacted]"\n',
    ]);
  });
  test('the JSON form is one object a line', () => {
    lines.length = 0;
    createLog({ level: 'info', format: 'json', write: (line) => lines.push(line), now: () => 0 }).info('up', {
      port: 1,
      error: new AppError('timeout', 'late', { cause: new Error('why') }),
    });
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      level: 'info',
      message: 'up',
      port: 1,
      error: 'timeout: late (why)',
    });
  });
});

describe('parseJsonObject', () => {
  test(threat('C16', 'drops __proto__ and never inherits'), () => {
    const parsed = parseJsonObject('{"a":"1","__proto__":{"token_endpoint":"evil"}}', 'x');
    expect(stringMember(parsed, 'token_endpoint')).toBeUndefined();
    expect(Object.hasOwn(parsed, '__proto__')).toBe(false);
    expect(stringMember(parsed, 'toString')).toBeUndefined();
    expect(stringMember(parsed, 'a')).toBe('1');
  });
  test.each(['', '[]', '1', 'null', '{', '<html>'])('refuses %j', (text) => {
    expect(() => parseJsonObject(text, 'https://a.example')).toThrow(AppError);
  });
  test(threat('C16', 'refuses two million brackets without recursion'), () => {
    expect(() => parseJsonObject('['.repeat(2_000_000), 'x')).toThrow(/too deeply/);
    expect(nestsDeeperThan(`{"a":"${'['.repeat(100)}\\"["}`, 64)).toBe(false);
  });
});

describe('secureUrl', () => {
  test.each(['https://a.example/x', 'http://localhost:1/', 'http://127.0.0.2/', 'http://[::1]:3/'])(
    'admits %s',
    (url) => expect(secureUrl(url, 'it').href).toBe(new URL(url).href),
  );
  test.each([
    'http://attacker.test/',
    'javascript:alert(1)',
    'file:///etc/passwd',
    'ssh://h/',
    'data:text/html,x',
    'https://google.com@evil.test/',
    'https://a.example/#f',
    'https://a.example/\nSet-Cookie:x',
    'https://a.example/"&calc',
    '--version',
    '\\\\host\\share',
    'http://localhost.evil.test/',
    'http://127.0.0.1.evil.test/',
  ])('refuses %j', (url) => expect(() => secureUrl(url, 'it')).toThrow(AppError));
  test('--allow-http admits just the origin named', () => {
    const policy = { allowHttp: ['http://idp:8080'] };
    expect(secureUrl('http://idp:8080/x', 'it', policy).host).toBe('idp:8080');
    expect(() => secureUrl('http://idp:8081/x', 'it', policy)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('--allow-http http://idp:8081') }),
    );
  });
});

test('canonical resource and well-known addresses', () => {
  expect(canonicalResource(new URL('HTTPS://A.Example:443/'))).toBe('https://a.example');
  expect(canonicalResource(new URL('https://a.example/mcp/?x=1#f'))).toBe('https://a.example/mcp/?x=1');
  expect(wellKnown(new URL('https://a.example'), 'n').href).toBe('https://a.example/.well-known/n');
  expect(wellKnown(new URL('https://a.example/t/mcp/?q=1'), 'n').href).toBe(
    'https://a.example/.well-known/n/t/mcp?q=1',
  );
  expect(isLoopbackHost('localhost.')).toBe(false);
});

test('errors keep their code; others are wrapped with the cause inside', () => {
  const mine = new AppError('timeout', 'late', { hint: 'wait' });
  expect(asAppError(mine)).toBe(mine);
  const wrapped = asAppError(new TypeError('x is not a function'), 'internal', 'it broke');
  expect([wrapped.code, wrapped.message, reasonOf(wrapped.cause)]).toEqual([
    'internal',
    'it broke',
    'x is not a function',
  ]);
  expect(reasonOf(new AggregateError([Object.assign(new Error(''), { code: 'ECONNREFUSED' })]))).toBe(
    'ECONNREFUSED',
  );
});
