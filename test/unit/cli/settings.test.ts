import { describe, expect, test } from 'vitest';
import {
  remoteOptions,
  serverOption,
  signInOptions,
  storeOptions,
} from '../../../src/cli/settings/client.ts';
import { commonOptions } from '../../../src/cli/settings/common.ts';
import { issuerSettings } from '../../../src/cli/settings/issuers.ts';
import { type OptionTable, readArguments, resolve } from '../../../src/cli/settings/resolve.ts';
import { serverOptions, serverSettings } from '../../../src/cli/settings/server.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { threat } from '../../support/threats.ts';

const client = { ...commonOptions, ...remoteOptions, ...signInOptions, ...storeOptions };

function values<T extends OptionTable>(
  table: T,
  argv: string[],
  environment: Record<string, string> = {},
  members: Record<string, unknown> = {},
) {
  const { flags } = readArguments(argv, table, 1);
  return resolve(table, { flags, environment, files: [{ name: 'config.json', members }] });
}

describe('precedence', () => {
  const members = { logLevel: 'error' };
  const environment = { MCP_WHOAMI_LOG_LEVEL: 'warn' };
  test('flag, then variable, then file, then nothing', () => {
    expect(values(client, ['--log-level', 'debug'], environment, members).logLevel).toBe('debug');
    expect(values(client, [], environment, members).logLevel).toBe('warn');
    expect(values(client, [], {}, members).logLevel).toBe('error');
    expect(values(client, []).logLevel).toBeUndefined();
  });
  test('an empty variable counts as unset', () => {
    expect(values(client, [], { MCP_WHOAMI_LOG_LEVEL: '' }, members).logLevel).toBe('error');
  });
  test('repeatable: flags add up, a variable is comma separated, the file has a list', () => {
    const two = ['http://a:1', 'http://b:2'];
    expect(values(client, ['--allow-http', 'http://a:1/', '--allow-http=http://b:2']).allowHttp).toEqual(two);
    expect(values(client, [], { MCP_WHOAMI_ALLOW_HTTP: 'http://a:1, http://b:2/x' }).allowHttp).toEqual(two);
    expect(values(client, [], {}, { allowHttp: two }).allowHttp).toEqual(two);
  });
});

test('a server that is none is blamed on the variable or the member that named it', () => {
  expect(thrown(() => values(serverOption, [], { MCP_WHOAMI_URL: 'nowhere' })).message).toMatch(
    /^MCP_WHOAMI_URL: "nowhere" is not a URL/,
  );
  expect(thrown(() => values(serverOption, [], {}, { defaultServer: 'nowhere' })).message).toMatch(
    /^config.json: "defaultServer": "nowhere" is not a URL/,
  );
});

describe('one clear line for each mistake', () => {
  test.each<[string[], RegExp, RegExp?]>([
    [['--prot', '1'], /unknown flag --prot/, /did you mean --port/],
    [['--port', 'abc'], /--port: "abc" is not a number from 0 to 65535/],
    [['--port', '65536'], /--port/],
    [['--port', '-1'], /--port/],
    [['--port'], /--port needs a value: --port PORT/],
    [['-p', '1'], /unknown flag -p/, /--help lists/],
    [['--port', ''], /--port needs a value: --port PORT/],
    [['--claims='], /--claims needs a value/],
    [['--no-auth=yes'], /--no-auth takes no value/],
    [['--verify', 'jwd'], /--verify: "jwd" is not one of auto, jwt, userinfo/, /did you mean jwt/],
    [['--issuer', 'auth.example.com'], /--issuer.*not a URL/, /https:\/\/auth.example.com/],
    [['--issuer', 'https://u:p@auth.example.com'], /carries a user name/],
    [['--stale', '1e9'], /--stale/],
    [['a', 'b'], /unexpected argument "b"/, /needs quotes/],
  ])('%j', (argv, message, hint) => {
    const error = thrown(() => values(serverOptions, argv));
    expect(error.code).toBe('usage');
    expect(error.message).toMatch(message);
    if (hint) expect(error.hint).toMatch(hint);
  });
  test(threat('S3', 'a password in a URL is not repeated'), () => {
    expect(
      thrown(() => values(serverOptions, ['--issuer', 'https://u:hunter2@a.example'])).message,
    ).not.toContain('hunter2');
  });
  test.each([
    ['localhost:6379', /not a redis:/],
    ['http://:hunter2@cache.example', /not a redis:/],
    ['redis//user:hunter2@cache.example', /not a redis:/],
    ['redis://:hunter2@cache.example/zero', /number of a database/],
    ['rediss://user:hunter2@cache.example/0?ssl=hunter2#hunter2@x', /query or a fragment/],
    ['redis://user:hunter2%zz@cache.example', /stray %/],
    ['redis://user:hunter2@cache.example:port', /not a URL/],
    ['redis://user:hunter2@/0', /not a URL|no host/],
  ])(threat('S3', '--redis %s: exit 2, and no password is repeated'), (given, message) => {
    const error = thrown(() => values(serverOptions, ['--redis', given]));
    expect(error.code).toBe('usage');
    expect(error.message).toMatch(message);
    expect(error.message + String(error.hint)).not.toContain('hunter2');
  });
  test('a good URL of a Redis is kept as a secret', () => {
    const { redis } = values(serverOptions, [], { MCP_WHOAMI_REDIS_URL: 'rediss://me:pass@cache.example/2' });
    expect(`${redis} ${JSON.stringify(redis)}`).not.toContain('pass');
    expect(redis?.reveal()).toBe('rediss://me:pass@cache.example/2');
  });
  test('a variable and the file are blamed by name', () => {
    expect(thrown(() => values(serverOptions, [], { MCP_WHOAMI_PORT: 'x' })).message).toMatch(
      /^MCP_WHOAMI_PORT:/,
    );
    expect(thrown(() => values(serverOptions, [], {}, { port: 'x' })).message).toMatch(
      /^config.json: "port":/,
    );
    expect(thrown(() => values(serverOptions, [], {}, { port: null })).message).toMatch(/wrong kind/);
  });
});

describe('headers', () => {
  test(threat('S2', 'a literal Authorization is refused: it would show in the process list'), () => {
    const error = thrown(() => values(client, ['--header', 'Authorization: Bearer abcdef']));
    expect(error.message).not.toContain('abcdef');
    expect(error.hint).toContain('MCP_WHOAMI_TOKEN');
  });
  test('a variable in it is fine, line ends are not', () => {
    expect(values(client, ['--header', 'authorization: Bearer ${T}']).header).toEqual([
      ['authorization', 'Bearer ${T}'],
    ]);
    expect(() => values(client, ['--header', 'X: a\r\nY: b'])).toThrow(AppError);
    expect(() => values(client, ['--header', 'Host: evil'])).toThrow(AppError);
  });
});

describe('server settings agree with each other', () => {
  const settings = (...argv: string[]) => {
    const levels = { flags: readArguments(argv, serverOptions, 1).flags, environment: {}, files: [] };
    const given = resolve(serverOptions, levels);
    return serverSettings(given, issuerSettings(levels, given.issuer, undefined), true);
  };
  test('defaults', () => {
    expect(settings()).toMatchObject({
      host: '127.0.0.1',
      port: 3001,
      issuers: [],
      staleMs: 300_000,
      drainDelayMs: 0,
    });
    const [one] = settings('--issuer', 'https://a.example/oidc/', '--required-scope', 'none').issuers;
    expect(one).toMatchObject({ issuer: 'https://a.example/oidc/', verify: 'auto', requiredScope: [] });
  });
  test.each([
    [['--host', '0.0.0.0'], /--public-url and --issuer/],
    [['--host', '0.0.0.0', '--no-auth'], /--public-url and --issuer/],
    [['--no-auth', '--issuer', 'https://a.example'], /--no-auth/],
    [
      ['--issuer', 'https://a.example', '--verify', 'userinfo', '--audience', 'x'],
      /--audience cannot be checked/,
    ],
    [
      ['--issuer', 'https://a.example', '--verify', 'userinfo', '--required-scope', 'a'],
      /--required-scope cannot be checked/,
    ],
  ])('%j is refused', (argv, message) => expect(thrown(() => settings(...argv)).message).toMatch(message));
});

function thrown(f: () => unknown): AppError {
  try {
    f();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
