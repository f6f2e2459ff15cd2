import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { follow } from '../support/plain-browser.ts';
import { type Sampler, sampleProcesses } from '../support/processes.ts';
import { type Recorder, recorder } from '../support/recorder.ts';
import { threat } from '../support/threats.ts';
import { until } from '../support/until.ts';

let world: Protected;
let browser: Recorder;
let sampler: Sampler;
beforeEach(async () => {
  world = await startProtected();
  browser = recorder(world.home.path);
  sampler = sampleProcesses();
});
afterEach(async () => {
  sampler.stop();
  await world.stop();
});

const passphrase = 'the-passphrase-of-the-test';
const clientSecret = 'the-client-secret-of-the-test';

/** Everything that is secret and went over the wire so far. */
function secretsOnTheWire(): string[] {
  const forms = world.issuer.at('token').map(({ form }) => form);
  const sent = ['code', 'code_verifier', 'refresh_token'].flatMap((name) =>
    forms.map((form) => form.get(name) ?? ''),
  );
  const tokens = world.given.map(({ token }) => token);
  return [...new Set([...sent, ...tokens])].filter((one) => one !== '');
}

function expectNowhere(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) expect(text.includes(secret), secret).toBe(false);
}

/** Login in a browser, whoami and status, a bridge with two calls of which one renews, logout. */
async function wholeLife(env: Record<string, string>): Promise<string> {
  const debug = ['--log-level', 'debug'];
  const login = start(['login', world.url, '--json', ...debug], { env });
  const [opened] = await until('a browser', 15_000, () =>
    browser.starts().length > 0 ? browser.starts() : undefined,
  );
  await follow(opened?.argv[0] ?? '');
  const printed = [await login.finished];
  expect(printed[0]?.code).toBe(0);
  for (const args of [['whoami', world.url], ['status'], ['status', '--json']]) {
    printed.push(await command([...args, ...debug], { env }));
  }
  const bridge = world.bridge([], env);
  await bridge.ready();
  world.accepted.clear();
  await bridge.call('count');
  await bridge.end();
  printed.push(await bridge.running.finished);
  printed.push(await command(['logout', world.url, ...debug], { env }));
  expect(world.issuer.refreshes()).toBe(1);
  return printed.map(({ stdout, stderr }) => stdout + stderr).join('\n');
}

test(
  threat(
    ['S2', 'S3'],
    'a whole life at debug level: no secret in output, arguments or the environment of children',
  ),
  async () => {
    const env = { ...world.home.env, BROWSER: browser.program, MCP_WHOAMI_PASSPHRASE: passphrase };
    const printed = await wholeLife(env);
    const secrets = [...secretsOnTheWire(), passphrase];
    // Two tokens, code, verifier and refresh token at least: else this has looked for nothing.
    expect(secrets.length).toBeGreaterThanOrEqual(6);
    expectNowhere(printed, secrets);
    expect(sampler.seen.size).toBeGreaterThan(5);
    for (const { cmdline } of sampler.seen.values()) expectNowhere(cmdline, secrets);
    for (const { environment } of browser.starts()) expectNowhere(environment, secrets);
  },
);

test(
  threat(['S1', 'S2'], 'every file of ours is for its owner alone, and no secret is readable in any'),
  async () => {
    const env = {
      ...world.home.env,
      BROWSER: browser.program,
      MCP_WHOAMI_PASSPHRASE: passphrase,
      TMPDIR: world.home.path,
    };
    const login = start(['login', world.url], { env });
    const [opened] = await until('a browser', 15_000, () =>
      browser.starts().length > 0 ? browser.starts() : undefined,
    );
    // The verifier is kept while the browser is open, for a process that takes over.
    const url = new URL(opened?.argv[0] ?? '');
    await follow(url.href);
    expect((await login.finished).code).toBe(0);
    expect((await command(['whoami', world.url], { env })).stderr).not.toContain('EACCES');
    for (const secret of [...secretsOnTheWire(), passphrase, url.searchParams.get('state') ?? '']) {
      const files = world.home.filesWith(secret).filter((file) => !file.includes('browser-notes'));
      expect(files, secret).toEqual([]);
    }
    const config = join(world.home.path, '.config/mcp-whoami');
    const made = readdirSync(config, { recursive: true, encoding: 'utf8' });
    expect(made.length).toBeGreaterThan(1);
    for (const file of made) {
      const { mode } = statSync(join(config, file));
      expect(`${file} ${(mode & 0o077).toString(8)}`).toBe(`${file} 0`);
    }
  },
);

test(
  threat(['S2', 'S3'], 'a token given by variable and a client secret: in no child, no output, no file'),
  async () => {
    const token = 'a-token-given-by-hand-0123456789';
    world.accepted.add(token);
    const env = {
      ...world.home.env,
      MCP_WHOAMI_TOKEN: token,
      MCP_WHOAMI_CLIENT_ID: 'given',
      MCP_WHOAMI_CLIENT_SECRET: clientSecret,
      BROWSER: browser.program,
    };
    const who = await command(['whoami', world.url, '--json', '--log-level', 'debug'], { env });
    const refused = await command(['whoami', `${world.url}?refused`, '--log-level', 'debug'], {
      env: { ...env, MCP_WHOAMI_TOKEN: `${token}-refused` },
    });
    expect(refused.code).not.toBe(0);
    const login = start(['login', world.url, '--log-level', 'debug'], { env });
    await until('a browser', 15_000, () => browser.starts().length > 0 || undefined);
    const { stdout, stderr } = await login.stop('SIGINT');
    expectNowhere([who, refused].map((one) => one.stdout + one.stderr).join() + stdout + stderr, [
      token,
      clientSecret,
    ]);
    for (const { cmdline } of sampler.seen.values()) expectNowhere(cmdline, [token, clientSecret]);
    for (const { environment } of browser.starts()) expectNowhere(environment, [token, clientSecret]);
    expect(world.home.filesWith(clientSecret)).toEqual([]);
    expect(world.home.filesWith(token)).toEqual([]);
  },
);
