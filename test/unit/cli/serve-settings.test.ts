import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Context } from '../../../src/cli/context.ts';
import { readServeSettings, serveOptions } from '../../../src/cli/serve/settings.ts';
import { readArguments } from '../../../src/cli/settings/resolve.ts';
import { type Home, makeHome } from '../../support/home.ts';

let home: Home;
beforeEach(() => {
  home = makeHome();
});
afterEach(() => home.remove());

function read(argv: string[], environment: Record<string, string> = {}, file?: string) {
  if (file !== undefined) writeFileSync(join(home.path, 'config.json'), file);
  const context = { configDir: home.path, environment, stdin: { isTTY: false } } as unknown as Context;
  return readServeSettings(context, readArguments(argv, serveOptions, 0));
}

describe('flag, variable, the part "serve" of the file, its top, default', () => {
  const file = '{ "port": 4, /* for all */ "serve": { "port": 3, } }';
  test.each<[string, string[], Record<string, string>, string | undefined, number]>([
    ['a flag', ['--port', '1'], { MCP_WHOAMI_PORT: '2' }, file, 1],
    ['a variable', [], { MCP_WHOAMI_PORT: '2', PORT: '9' }, file, 2],
    ['the second variable', [], { MCP_WHOAMI_PORT: '', PORT: '9' }, file, 9],
    ['the part of the file', [], {}, file, 3],
    ['its top', [], {}, '{ "port": 4, "serve": {} }', 4],
    ['the default', [], {}, undefined, 3001],
  ])('%s', async (_what, argv, environment, text, port) => {
    expect((await read(argv, environment, text)).server.port).toBe(port);
  });
});

test('every setting of the operation has its three names', async () => {
  const file =
    '{ "serve": { "userRate": 5, "trustProxy": ["10.0.0.0/8", "loopback"], "metricsPort": 9, "logFormat": "json" } }';
  const expected = {
    userRate: 5,
    trustProxy: ['10.0.0.0/8', '127.0.0.0/8', '::1/128'],
    metricsPort: 9,
    logRequests: 'all',
  };
  expect((await read([], {}, file)).server).toMatchObject(expected);
  const variables = {
    MCP_WHOAMI_USER_RATE: '5',
    MCP_WHOAMI_TRUST_PROXY: '10.0.0.0/8, loopback',
    MCP_WHOAMI_METRICS_PORT: '9',
    MCP_WHOAMI_LOG_FORMAT: 'json',
  };
  expect((await read([], variables, '{}')).server).toMatchObject(expected);
  const flags = ['--user-rate=5', '--trust-proxy=10.0.0.0/8', '--trust-proxy=loopback'];
  const { server } = await read([...flags, '--metrics-port=9', '--log-format=json'], {}, '{}');
  expect(server).toMatchObject(expected);
  expect((await read([], {}, '{}')).server).toMatchObject({
    userRate: undefined,
    trustProxy: [],
    metricsPort: undefined,
    logRequests: 'failed',
    tls: undefined,
  });
});

test.each([
  ['a setting of the part "serve" that is misspelt', '{ "serve": { "alow": [] } }', /"alow"/, /"allow"/],
  ['one of another command there', '{ "serve": { "clientId": "x" } }', /"clientId"/, /./],
])('%s is refused: it would decide nothing', async (_what, file, message, hint) => {
  await expect(read([], {}, file)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  });
});

test.each(['proxy.example', '10.0.0.0/33', '10.0.0.0/0', '10.0.0.0/8/8', '2', '10.0.0.256', '::/129'])(
  '--trust-proxy %j is neither an address nor a subnet',
  async (given) => {
    await expect(read(['--trust-proxy', given])).rejects.toMatchObject({ code: 'usage' });
  },
);
