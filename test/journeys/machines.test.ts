import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, type Finished, start } from '../support/command.ts';
import {
  type ConfidentialProvider,
  confidentialClient,
  confidentialProvider,
  publicKeys,
} from '../support/confidential-provider.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { type Home, makeHome } from '../support/home.ts';
import { connectOverStdio, whoami } from '../support/mcp.ts';
import { follow } from '../support/plain-browser.ts';
import { type Sampler, sampleProcesses } from '../support/processes.ts';
import { recorder } from '../support/recorder.ts';
import { type Serving, serve } from '../support/serve.ts';
import { hasTerminal, openTerminal, type Terminal } from '../support/terminal.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';

const secret = 's3cret-of-the-machine-0123456789-abcdef';
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK;
/** What would give the key away, wherever it turned up. */
const keyMaterial = String(key.d);
const debug = ['--log-level', 'debug'];

const clients = [
  confidentialClient({
    client_id: 'by-basic',
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_basic',
  }),
  confidentialClient({
    client_id: 'by-post',
    client_secret: secret,
    token_endpoint_auth_method: 'client_secret_post',
  }),
  confidentialClient({
    client_id: 'by-key',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: publicKeys(key),
  }),
];

let home: Home;
let sampler: Sampler;
let keyFile: string;
let provider: ConfidentialProvider | undefined;
let serving: Serving | undefined;
let terminal: Terminal | undefined;
beforeEach(() => {
  home = makeHome();
  keyFile = join(home.path, 'client.jwk');
  writeFileSync(keyFile, JSON.stringify(key), { mode: 0o600 });
  sampler = sampleProcesses();
});
afterEach(async () => {
  sampler.stop();
  terminal?.close();
  await serving?.stop();
  await provider?.close();
  [terminal, serving, provider] = [undefined, undefined, undefined];
  home.remove();
});

/** Tokens live for two seconds, if nothing else is said: a renewal is never far. */
async function world(method?: 'client_secret_basic' | 'client_secret_post', accessSeconds = 2) {
  const methods = method ? [method] : undefined;
  const fitting = clients.filter((it) => !method || it.token_endpoint_auth_method === method);
  provider = await confidentialProvider({
    clients: fitting,
    accessSeconds,
    ...(methods ? { methods } : {}),
  });
  serving = await serve(['--issuer', provider.issuer]);
  return { url: serving.sse, grants: provider.grants };
}

/** Nothing that is secret is printed, in an argument list, with a child, or in a file but its own. */
function expectKept(printed: readonly Finished[], children: readonly string[]): void {
  const shown = [
    ...printed.map(({ stdout, stderr }) => stdout + stderr),
    ...[...sampler.seen.values()].map(({ cmdline }) => cmdline),
    ...children,
  ];
  for (const text of shown) {
    for (const one of [secret, keyMaterial, 'client_assertion']) expect(text.includes(one), one).toBe(false);
    expect(text).not.toMatch(/eyJ[\w-]+\.[\w-]+\.[\w-]+/);
  }
  expect(home.filesWith(secret)).toEqual([]);
  expect(home.filesWith(keyMaterial)).toEqual([keyFile]);
}

describe('a confidential client for a person: login, whoami, a renewal, logout', () => {
  test.each([
    ['client_secret_basic' as const, 'by-basic', []],
    ['client_secret_post' as const, 'by-post', []],
    ['private_key_jwt' as const, 'by-key', ['--client-key', 'client.jwk']],
  ])(
    threat(['S1', 'S2', 'S3'], '%s, and what proves the client is nowhere'),
    async (method, clientId, flags) => {
      const { url, grants } = await world(method === 'private_key_jwt' ? undefined : method);
      const browser = recorder(home.path);
      const proof: Record<string, string> = flags.length > 0 ? {} : { MCP_WHOAMI_CLIENT_SECRET: secret };
      const env = { ...home.env, ...proof, BROWSER: browser.program };
      const login = start(['login', url, '--client-id', clientId, ...flags, ...debug], {
        env,
        cwd: home.path,
      });
      const [opened] = await until('a browser', 15_000, () =>
        browser.starts().length > 0 ? browser.starts() : undefined,
      );
      await follow(opened?.argv[0] ?? '');
      const printed = [await login.finished];
      expect(printed[0]).toMatchObject({ code: 0 });

      // What was told at the login is remembered, or in the vault: no flag, no variable, another folder.
      await until('a renewal', 30_000, async () => {
        const who = await command(['whoami', url, ...debug], { env: home.env });
        printed.push(who);
        expect(who).toMatchObject({ code: 0, stdout: expect.stringContaining('dora') });
        return grants.some(({ type }) => type === 'refresh_token') || undefined;
      });
      const logout = await command(['logout', url, ...debug], { env: home.env });
      printed.push(logout);
      expect(logout).toMatchObject({ code: 0, stdout: expect.stringContaining('revoked') });
      expect(provider?.revocations()).toBeGreaterThan(0);
      expect(new Set(grants.map((it) => it.method))).toEqual(new Set([method]));
      expect(grants.every((it) => it.client === clientId)).toBe(true);
      expectKept(
        printed,
        browser.starts().map(({ environment }) => environment),
      );
    },
  );

  test('a key that cannot be used, and one that others can read, are told before a browser opens', async () => {
    const { url } = await world();
    chmodSync(keyFile, 0o644);
    const login = (...args: string[]) =>
      start(['login', url, '--client-id', 'by-key', '--no-browser', '--client-key', ...args], {
        env: home.env,
      });
    const readable = login(keyFile);
    await readable.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
    expect(readable.stderr()).toContain(`chmod 600 ${keyFile}`);
    await readable.stop('SIGINT');
    const missing = await login('no-such-file.pem').finished;
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('ENOENT') });
    expect(missing.stderr).toContain('--client-key FILE');
    expect(missing.stderr).not.toContain('code_challenge');
  });
});

describe.skipIf(!hasTerminal)('a secret that is asked for on the terminal', () => {
  const ask = async (url: string, ...args: string[]) => {
    terminal = await openTerminal(
      ['login', url, '--client-id', 'by-post', '--ask-client-secret', ...args, ...debug],
      {
        env: home.env,
      },
    );
    await terminal.shows(/Secret of the client by-post at http:\S+\/oidc; it is not shown\./);
    return terminal;
  };

  test(
    threat(['S1', 'S3'], 'is not shown, kept for renewal and revocation, and gone after logout'),
    async () => {
      const { url, grants } = await world();
      const login = await ask(url);
      login.paste(secret, false);
      login.press('Enter');
      const [address] = await login.shows(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
      await follow(address);
      expect(await login.ended()).toBe(0);
      expect(login.printed()).not.toContain(secret);
      expect(login.printed()).not.toContain(secret.slice(0, 8));
      expectKept([], []);

      await until('a renewal', 30_000, async () => {
        const who = await command(['whoami', url], { env: home.env });
        expect(who.stdout).toContain('dora');
        return grants.some(({ type }) => type === 'refresh_token') || undefined;
      });
      // Another sign-in asks for no secret.
      const again = start(['login', url, '--no-browser'], { env: home.env });
      const [second] = await again.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
      await follow(second);
      expect(await again.finished).toMatchObject({ code: 0 });
      expect((await command(['logout', url], { env: home.env })).stdout).toContain('revoked');
      expect(new Set(grants.map((it) => it.method))).toEqual(new Set(['client_secret_post']));

      // After logout there is none: the provider refuses the client.
      const without = start(['login', url, '--no-browser'], { env: home.env });
      const [third] = await without.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
      await follow(third);
      expect(await without.finished).toMatchObject({ code: 1 });
    },
  );

  test('Ctrl-C while it is asked for: 130, and nothing is kept', async () => {
    const { url } = await world();
    const login = await ask(url);
    login.press('C-c');
    expect(await login.ended()).toBe(130);
    expect((await command(['status', '--json'], { env: home.env })).stdout).toContain('"servers": []');
  });

  test('without a terminal: wrong usage, and what to do instead', async () => {
    const { url } = await world();
    const asked = ['login', url, '--client-id', 'by-post', '--ask-client-secret'];
    const { code, stderr } = await command(asked, { env: home.env });
    expect(code).toBe(2);
    expect(stderr).toContain('MCP_WHOAMI_CLIENT_SECRET');
  });
});

describe('a client that signs in for itself', () => {
  test(
    threat(['S1', 'S2', 'S3'], 'login, a bridge whose token ends again and again, status, logout'),
    async () => {
      const { url, grants } = await world();
      const login = await command(
        ['login', url, '--client-credentials', '--client-id', 'by-key', '--client-key', keyFile, ...debug],
        { env: home.env },
      );
      expect(login).toMatchObject({ code: 0 });
      expect(login.stdout).toContain('signed in as the client by-key itself');

      const bridge = await connectOverStdio(['bridge', url, ...debug], home.env);
      try {
        let calls = 0;
        await until('three grants', 45_000, async () => {
          expect(await whoami(bridge.client)).toMatchObject({ sub: 'by-key', iss: provider?.issuer });
          calls++;
          return grants.length >= 3 || undefined;
        });
        expect(calls).toBeGreaterThan(1);
      } finally {
        await bridge.close();
      }
      const status = await command(['status', url, '--json'], { env: home.env });
      expect(JSON.parse(status.stdout)).toMatchObject({
        servers: [{ signedIn: true, subject: 'by-key', grant: 'client_credentials' }],
      });
      const logout = await command(['logout', url, ...debug], { env: home.env });
      expect(logout.code).toBe(0);
      expect((await command(['status', url], { env: home.env })).code).toBe(3);
      const own = { type: 'client_credentials', client: 'by-key', method: 'private_key_jwt', resource: url };
      for (const grant of grants) expect(grant).toMatchObject(own);
      const bridged = { code: 0, signal: null, stdout: '', stderr: bridge.stderr() };
      expectKept([login, status, logout, bridged], []);
    },
  );

  test('without a login: the bridge signs in by itself, its tokens in memory alone', async () => {
    const { url, grants } = await world(undefined, 600);
    const env = { ...home.env, MCP_WHOAMI_STORE: 'memory', MCP_WHOAMI_CLIENT_SECRET: secret };
    const flags = ['--client-credentials', '--client-id', 'by-post'];
    const bridge = await connectOverStdio(['bridge', url, ...flags], env);
    try {
      expect(await whoami(bridge.client)).toMatchObject({ sub: 'by-post' });
    } finally {
      await bridge.close();
    }
    expect(grants).toHaveLength(1);
    expect((await command(['status', '--json'], { env: home.env })).stdout).toContain('"servers": []');
  });

  test('what is for a person is wrong usage, and the way to sign one in is told', async () => {
    const { url } = await world();
    const flags = ['--client-credentials', '--client-id', 'by-key', '--client-key', keyFile, '--device'];
    const { code, stderr } = await command(['login', url, ...flags], { env: home.env });
    expect(code).toBe(2);
    expect(stderr).toContain('--profile');
  });

  test('four bridges at once: one grant', async () => {
    const { url, grants } = await world(undefined, 600);
    const env = { ...home.env, MCP_WHOAMI_CLIENT_SECRET: secret };
    const flags = ['--client-credentials', '--client-id', 'by-post'];
    const bridges = await Promise.all(
      Array.from({ length: 4 }, () => connectOverStdio(['bridge', url, ...flags], env)),
    );
    try {
      const answers = await Promise.all(bridges.map(({ client }) => whoami(client)));
      expect(answers.map(({ sub }) => sub)).toEqual(Array(4).fill('by-post'));
    } finally {
      await Promise.all(bridges.map((bridge) => bridge.close()));
    }
    expect(grants).toHaveLength(1);
  });

  test('whoami while signed out and without its secret: 3, and what is missing', async () => {
    const { url } = await world();
    const flags = ['--client-credentials', '--client-id', 'by-post', '--json'];
    const { code, stderr } = await command(['whoami', url, ...flags], { env: home.env });
    expect(code).toBe(3);
    expect(JSON.parse(stderr.trim().split('\n').at(-1) ?? '')).toMatchObject({
      error: { code: 'not_signed_in', hint: expect.stringContaining('MCP_WHOAMI_CLIENT_SECRET') },
    });
  });
});

describe('--token-command', () => {
  let guarded: Protected | undefined;
  let tokenFile: string;
  let log: string;
  beforeEach(async () => {
    guarded = await startProtected();
    [tokenFile, log] = [join(home.path, 'current'), join(home.path, 'log')];
    writeFileSync(log, '');
  });
  afterEach(() => guarded?.stop());

  /** Prints what the file holds, and notes how it was started. */
  function helper(): string {
    const file = join(home.path, 'print token');
    writeFileSync(
      file,
      `#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/environ >> '${log}'\necho run >> '${log}'\necho noise >&2\ncat '${tokenFile}'\n`,
    );
    chmodSync(file, 0o755);
    return file;
  }
  const give = (token: string) => {
    guarded?.accepted.clear();
    guarded?.accepted.add(token);
    writeFileSync(tokenFile, `${token}\n`);
  };
  const runs = () =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line === 'run').length;

  test(
    threat(
      ['S1', 'S2', 'S3'],
      'a bridge over a 401 in the middle: one more run, no keychain, no file, no secret passed on',
    ),
    async () => {
      if (!guarded) throw new Error('no server');
      give('token-of-the-morning-0123456789');
      const env = { ...home.env, MCP_WHOAMI_PASSPHRASE: 'the-passphrase', MCP_WHOAMI_CLIENT_SECRET: secret };
      const bridge = guarded.bridge(['--token-command', helper()], env);
      await bridge.ready();
      await bridge.call('count');
      await bridge.call('count');
      expect(runs()).toBe(1);
      give('token-of-the-evening-0123456789');
      await bridge.call('count');
      expect(runs()).toBe(2);
      await bridge.end();
      const finished = await bridge.running.finished;
      expect(finished.code).toBe(0);
      const noted = readFileSync(log, 'utf8');
      expect(noted).toContain('HOME=');
      for (const one of ['the-passphrase', secret]) expect(noted).not.toContain(one);
      expect(finished.stderr).not.toMatch(/token-of-the|noise/);
      expect(home.filesWith('token-of-the-morning')).toEqual([]);
      expect(home.filesWith('token-of-the-evening')).toEqual([tokenFile]);
    },
  );

  test('in config.json, for one server', async () => {
    if (!guarded) throw new Error('no server');
    give('token-of-the-file-0123456789');
    const config = join(home.path, 'config.json');
    writeFileSync(config, JSON.stringify({ servers: [{ url: guarded.url, tokenCommand: helper() }] }));
    const env = { ...home.env, MCP_WHOAMI_CONFIG_DIR: home.path };
    const bridge = guarded.bridge([], env);
    await bridge.ready();
    await bridge.call('count');
    await bridge.end();
    expect(runs()).toBe(1);
  });

  test.each([
    ['a token that is refused', () => 'echo refused-token-0123456789', 3, 'gives the same one again'],
    [
      'a program that is not there',
      () => 'no-such-program-at-all',
      3,
      'there is no program "no-such-program-at-all"',
    ],
    ['one that fails', () => 'false', 3, '"false" ended with code 1'],
    ['no word', () => ' ', 2, '--token-command: which command?'],
  ])('whoami with %s', async (_name, given, exit, words) => {
    if (!guarded) throw new Error('no server');
    give('another-token');
    const { code, stderr } = await command(['whoami', guarded.url, '--token-command', given()], {
      env: home.env,
    });
    expect(code).toBe(exit);
    expect(stderr).toContain(words);
    expect(stderr).toContain('--token-command');
    expect(stderr).not.toContain('refused-token');
  });

  test('login with it: nobody has to sign in', async () => {
    if (!guarded) throw new Error('no server');
    const { code, stderr } = await command(['login', guarded.url, '--token-command', 'true'], {
      env: home.env,
    });
    expect(code).toBe(2);
    expect(stderr).toContain('bridge');
  });
});

test('a header from a variable stays as it was: the token as it is, and 3 when it is refused', async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const header = ['--header', 'Authorization: Bearer ${MY_TOKEN}'];
    const env = { ...home.env, MY_TOKEN: 'a-token-in-a-variable' };
    const { code, stderr } = await command(['whoami', url, ...header, '--token-command', 'echo other'], {
      env,
    });
    expect(code).toBe(3);
    expect(stderr).toContain('MY_TOKEN');
    expect(new Set(seen)).toEqual(new Set(['Bearer a-token-in-a-variable']));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
