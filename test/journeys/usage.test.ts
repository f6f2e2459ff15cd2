import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';

let home: Home;
beforeAll(() => {
  home = makeHome();
});
afterAll(() => home.remove());
const run = (args: string[], env: Record<string, string> = {}) =>
  command(args, { env: { ...home.env, ...env } });

describe('what a stranger types first', () => {
  test('--help and --version', async () => {
    const [help, version] = await Promise.all([run(['--help']), run(['--version'])]);
    expect(help.code).toBe(0);
    for (const word of ['demo', 'login', 'bridge', 'serve', 'status']) expect(help.stdout).toContain(word);
    for (const name of ['MCP_WHOAMI_CONFIG_DIR', 'BROWSER']) expect(help.stdout).toContain(name);
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
  test('-h is --help, with a command and without', async () => {
    const [all, one] = await Promise.all([run(['-h']), run(['login', '-h'])]);
    expect([all.code, one.code]).toEqual([0, 0]);
    expect(all.stdout).toContain('Usage: mcp-whoami <command>');
    expect(one.stdout).toContain('Usage: mcp-whoami login');
  });
  test('each command has a help of its own, with nothing wider than 110 columns', async () => {
    const names = ['demo', 'login', 'logout', 'status', 'use', 'whoami', 'bridge', 'serve'];
    const helps = await Promise.all(names.map((name) => run([name, '--help'])));
    for (const [i, help] of helps.entries()) {
      expect(help.code).toBe(0);
      expect(help.stdout).toContain(`Usage: mcp-whoami ${names[i]}`);
      if (help.stdout.includes('[URL]')) expect(help.stdout).toContain('MCP_WHOAMI_URL');
      expect(Math.max(...help.stdout.split('\n').map((line) => line.length))).toBeLessThan(111);
    }
  });
});

describe('wrong usage: one line, a next step, exit 2, no stack', () => {
  test.each([
    [['logn'], 'there is no command "logn"', 'did you mean mcp-whoami login?'],
    [['status', '--jsn'], 'unknown flag --jsn', 'did you mean --json?'],
    [['serve', '--port', 'x'], '--port: "x" is not a number', ''],
    [['serve', '--host', '0.0.0.0'], 'needs --public-url and --issuer', '--public-url https://'],
    [['login', 'example.com'], 'is not a URL', 'https://example.com'],
    [['login', 'ftp://example.com/'], 'not an http or https URL', ''],
    [
      ['login', 'http://example.test/mcp'],
      'plain http to another machine',
      '--allow-http http://example.test',
    ],
    [['login', '--store', 'memory'], 'kept in memory', '--store file'],
    [['login', 'http://localhost:1/', 'extra'], 'unexpected argument "extra"', 'needs quotes'],
    [['bridge', '--header', 'Authorization: Bearer s3cret'], 'process list', 'MCP_WHOAMI_TOKEN'],
    [['bridge', '--timeout', '0'], '--timeout', ''],
    [['use'], 'which server?', ''],
    [
      ['use', 'http://example.test/mcp'],
      'plain http',
      'mcp-whoami login http://example.test/mcp --allow-http',
    ],
    [['demo', '--store', 'memory'], 'another process', '--store file'],
    [['serve', '--issuer', 'http://auth.test/oidc'], 'plain http to another machine', 'https'],
    [['serve', '--userinfo-url', 'http://auth.test/me'], 'plain http to another machine', 'https'],
    [['serve', '--port', '65535'], 'leaves no port', '--idp-port'],
  ])('%j', async (args, message, hint) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(stderr).not.toContain('s3cret');
  });
  test('a variable and the configuration file are validated as the flags are', async () => {
    const { code, stderr } = await run(['status'], { MCP_WHOAMI_LOG_LEVEL: 'loud' });
    expect(code).toBe(2);
    expect(stderr).toContain('MCP_WHOAMI_LOG_LEVEL: "loud" is not one of error, warn, info, debug');
  });
  test('a setting of the file that nothing reads is told, with the one that may be meant', async () => {
    const folder = join(home.path, 'misspelt');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'config.json'),
      '{ "lgin": "never", "timeout": 10, "port": 3001, "serve": {} }',
    );
    const { code, stderr } = await run(['status'], { MCP_WHOAMI_CONFIG_DIR: folder });
    expect(code).toBe(3);
    expect(stderr).toContain('nothing reads a setting setting="lgin"');
    expect(stderr).toContain('did you mean \\"login\\"?');
    expect(stderr).not.toMatch(/timeout|port/);
  });
  test('--json puts the error on the last line, for scripts', async () => {
    const { code, stderr } = await run(['status', '--profile', 'a b', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({ error: { code: 'usage' } });
  });
});

describe('a default server that cannot be reached safely', () => {
  const server = 'http://example.test/mcp';
  const withDefault = (home: Home) => {
    const folder = join(home.path, '.config', 'mcp-whoami');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ defaultServer: server }));
  };
  test('keeps nobody from status and logout, which send it nothing', async () => {
    const own = makeHome();
    try {
      withDefault(own);
      const [status, logout] = await Promise.all([
        command(['status', '--json'], { env: own.env }),
        command(['logout', '--all'], { env: own.env }),
      ]);
      expect([status.code, logout.code]).toEqual([3, 0]);
    } finally {
      own.remove();
    }
  });
});

describe('exit codes of what cannot be done', () => {
  const nowhere = 'http://127.0.0.1:9/sse';
  test('signed out: status and whoami answer 3 with the line to type', async () => {
    const [status, all] = await Promise.all([run(['status', nowhere]), run(['status', '--json'])]);
    expect(status.code).toBe(3);
    expect(status.stderr).toContain(`mcp-whoami login ${nowhere}`);
    expect(all.code).toBe(3);
    expect(JSON.parse(all.stdout)).toEqual({ servers: [] });
  });
  test('the line to type names the account that was asked for', async () => {
    const status = await run(['status', nowhere, '--profile', 'work']);
    expect(status.stderr).toContain(`mcp-whoami login ${nowhere} --profile work`);
    expect(status.stdout).toContain(`${nowhere} [profile work]\n  signed out`);
    const anywhere = await run(['status', '--profile', 'work']);
    expect(anywhere.stdout).toBe('You are signed in nowhere under the profile work.\n');
  });
  test('an address that is not of this machine is not blamed on the port, nor waited for', async () => {
    const elsewhere = [
      '--host',
      '203.0.113.9',
      '--public-url',
      'https://a.test/',
      '--issuer',
      'https://b.test/',
    ];
    // Its standard input stays open, as an MCP client's does.
    const { code, stderr } = await start(['serve', ...elsewhere], { env: home.env }).finished;
    expect(code).toBe(1);
    expect(stderr).toContain('203.0.113.9 is no address of this machine');
    expect(stderr).toContain('--host');
  });
  test('a configuration folder that cannot be one: what to do, instead of "report it"', async () => {
    const env = { MCP_WHOAMI_CONFIG_DIR: '/dev/null/nowhere' };
    const [status, use] = await Promise.all([run(['status'], env), run(['use', 'http://localhost:1/'], env)]);
    for (const { code, stderr } of [status, use]) {
      expect(code).toBe(1);
      expect(stderr).toContain('cannot read /dev/null/nowhere/config.json');
      expect(stderr).toContain('MCP_WHOAMI_CONFIG_DIR');
      expect(stderr).not.toContain('--log-level debug');
    }
  });
  test('a server that is down: login and whoami answer 4', async () => {
    const [login, whoami] = await Promise.all([
      run(['login', nowhere]),
      run(['whoami', nowhere], { MCP_WHOAMI_TOKEN: 'by-hand' }),
    ]);
    expect([login.code, whoami.code]).toEqual([4, 4]);
    expect(login.stderr).toContain('127.0.0.1:9');
    expect(whoami.stderr).toContain('127.0.0.1:9');
    // No bridge runs here that could go on.
    expect(whoami.stderr).not.toContain('bridge');
  });
  test('403 for a request without a token: no word of an account that nobody has', async () => {
    const server = createServer((_, response) => response.writeHead(403).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await run(['whoami', `http://127.0.0.1:${port}/`]);
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port} refuses the request, and asks for no sign-in (status 403)`);
    expect(stderr).toContain('check the URL');
    expect(stderr).not.toContain('account');
  });
  test('logout while signed out is no failure', async () => {
    const { code, stdout } = await run(['logout', nowhere]);
    expect(code).toBe(0);
    expect(stdout).toContain('not signed in');
    const json = await run(['logout', nowhere, '--json']);
    expect(JSON.parse(json.stdout)).toEqual({
      servers: [{ url: nowhere, profile: 'default', signedIn: false, revoked: false }],
    });
  });
  test('login --print-redirect-uri says what to register, and does nothing', async () => {
    const { code, stdout } = await run(['login', nowhere, '--print-redirect-uri', '--redirect-port', '8765']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'http://127.0.0.1:8765/callback\n' });
    const json = await run([
      'login',
      nowhere,
      '--print-redirect-uri',
      '--redirect-host',
      'localhost',
      '--json',
    ]);
    expect(JSON.parse(json.stdout)).toEqual({ redirectUri: 'http://localhost/callback' });
  });
  test('use sets the default server', async () => {
    expect((await run(['use', 'http://127.0.0.1:9/mcp'])).code).toBe(0);
    expect((await run(['status', '--json'])).code).toBe(3);
    const bridge = start(['bridge'], { env: home.env });
    bridge.child.stdin.end();
    expect((await bridge.finished).code).toBe(0);
  });
});
