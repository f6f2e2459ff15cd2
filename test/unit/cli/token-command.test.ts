import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tokensFromCommand } from '../../../src/cli/token-command.ts';
import { AppError } from '../../../src/lib/errors.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { threat } from '../../support/threats.ts';
import { until } from '../../support/until.ts';

let folder: string;
let runsFile: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'whoami-token-command-'));
  runsFile = join(folder, 'runs');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const clock = { wall: 0, monotonic: 0 };
beforeEach(() => {
  writeFileSync(runsFile, '');
  Object.assign(clock, { wall: 0, monotonic: 0 });
});

const server = new URL('http://localhost:1/mcp');
const runs = () => readFileSync(runsFile, 'utf8').length;

/** A command of the words: node, a script. */
function script(body: string): string {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.cjs`);
  writeFileSync(file, `require('node:fs').appendFileSync(${JSON.stringify(runsFile)}, 'x');\n${body}`);
  return `${process.execPath} ${file}`;
}
const printing = (text: string) => script(`process.stdout.write(${JSON.stringify(text)})`);
/** Prints token-1, token-2 ... */
const fresh = () =>
  script(
    `console.log('token-' + require('node:fs').readFileSync(${JSON.stringify(runsFile)}, 'utf8').length)`,
  );

const tokens = (command: string, signal: AbortSignal = new AbortController().signal) =>
  tokensFromCommand({
    command,
    from: '--token-command',
    server,
    signal,
    now: () => Date.now() + clock.wall,
    monotonic: () => performance.now() + clock.monotonic,
  });

function runsStill(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function failure(command: string): Promise<AppError> {
  const error: unknown = await tokens(command)
    .current()
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  if (error instanceof AppError) return error;
  throw new Error(`expected an AppError, got ${String(error)}`);
}

describe('the token', () => {
  test.each([
    ['alone', 'a-token'],
    ['with a line break', 'a-token\n'],
    ['as Windows ends lines, with empty lines around', '\r\na-token\r\n\r\n'],
  ])('%s', async (_name, text) => {
    expect((await tokens(printing(text)).current())?.reveal()).toBe('a-token');
  });

  test('is asked for once, for 20 callers and later ones', async () => {
    const source = tokens(fresh());
    const all = await Promise.all(Array.from({ length: 20 }, () => source.current()));
    expect(new Set(all.map((token) => token?.reveal()))).toEqual(new Set(['token-1']));
    expect((await source.current())?.reveal()).toBe('token-1');
    expect(runs()).toBe(1);
  });

  test('that is refused: the command once more, for 20 callers that met the same 401', async () => {
    const source = tokens(fresh());
    const first = await source.current();
    const all = await Promise.all(Array.from({ length: 20 }, () => source.renew(first)));
    expect(new Set(all.map((token) => token.reveal()))).toEqual(new Set(['token-2']));
    expect((await source.renew(first)).reveal()).toBe('token-2');
    expect(runs()).toBe(2);
  });

  test('that is refused and comes again: token_rejected, and the next call asks anew', async () => {
    const source = tokens(printing('always-the-same'));
    const token = await source.current();
    const error = await source.renew(token).catch((thrown: AppError) => thrown);
    expect(error).toMatchObject({ code: 'token_rejected' });
    expect((error as AppError).message).toContain('--token-command');
    expect(runs()).toBe(2);
    await source.renew(token).catch(() => {});
    expect(runs()).toBe(3);
  });

  test('that is a JWT is asked for anew before it ends, not sooner', async () => {
    const jwt = new UnsecuredJWT({}).setExpirationTime('1 hour').encode();
    const source = tokens(printing(`${jwt}x`));
    await source.current();
    clock.monotonic += 58 * 60_000;
    await source.current();
    expect(runs()).toBe(1);
    clock.monotonic += 2 * 60_000;
    await source.current();
    expect(runs()).toBe(2);
  });

  test('that has ended already by our clock is used until a 401: the clock may be wrong', async () => {
    const jwt = new UnsecuredJWT({}).setExpirationTime(Math.floor(Date.now() / 1000) - 86_400).encode();
    const source = tokens(printing(`${jwt}x`));
    for (let i = 0; i < 3; i++) await source.current();
    expect(runs()).toBe(1);
  });

  test('no other scope is known to help', async () => {
    const granted = await tokens(printing('a')).insufficient(new Secret('a'));
    expect(granted).toEqual({ replaced: false, scopes: [] });
  });
});

describe('the command', () => {
  test('is no shell: words at white space, whatever they hold', async () => {
    const canary = join(folder, 'canary');
    const args = script('console.log(Buffer.from(JSON.stringify(process.argv.slice(2))).toString("hex"))');
    const token = await tokens(`${args}   $(touch ${canary}) ; "a b" | \`x\` %PATH%`).current();
    const given = JSON.parse(Buffer.from(token?.reveal() ?? '', 'hex').toString()) as string[];
    expect(given).toEqual(['$(touch', `${canary})`, ';', '"a', 'b"', '|', '`x`', '%PATH%']);
    expect(() => readFileSync(canary)).toThrow();
  });

  test.skipIf(process.platform === 'win32')('may be one file whose path has spaces', async () => {
    const file = join(folder, 'my token helper');
    writeFileSync(file, '#!/bin/sh\necho from-a-file\n');
    chmodSync(file, 0o755);
    expect((await tokens(file).current())?.reveal()).toBe('from-a-file');
  });

  test.skipIf(process.platform === 'win32')(
    'may leave a helper behind that keeps its output open',
    async () => {
      const leave = script(
        `const child = require('node:child_process').spawn('sleep', ['20'], { stdio: ['ignore', 1, 2], detached: true });
       require('node:fs').appendFileSync(${JSON.stringify(join(folder, 'pid'))}, String(child.pid));
       child.unref(); console.log('a-token')`,
      );
      expect((await tokens(leave).current())?.reveal()).toBe('a-token');
      process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')));
    },
  );

  test('that the process no longer waits for is ended', async () => {
    const controller = new AbortController();
    const pidFile = join(folder, 'waiting');
    const waiting = script(
      `require('node:fs').writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(() => {}, 1000)`,
    );
    const asked = tokens(waiting, controller.signal).current();
    const pid = await until(
      'its process id',
      10_000,
      () => (existsSync(pidFile) && Number(readFileSync(pidFile))) || undefined,
    );
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: 'cancelled' });
    await until('its end', 10_000, () => !runsStill(pid));
  });
});

describe('what goes wrong names the setting, says what to do, and means: not signed in', () => {
  const noisy = `console.error('first'); console.error('no \\u001b[31mlogin\\u001b[0m for ya29.A0ARrdaM-1234567890');`;
  test.each<[string, () => string, RegExp]>([
    [
      'a program that is not there',
      () => 'no-such-program-here --now',
      /there is no program "no-such-program-here"/,
    ],
    [
      'a file that may not be run',
      () => {
        const file = join(folder, 'not-executable');
        appendFileSync(file, 'x');
        chmodSync(file, 0o644);
        return file;
      },
      /cannot be started \(.*EACCES/,
    ],
    [
      'an exit code',
      () => script(`${noisy} process.exit(7)`),
      /ended with code 7 and said: no +\[31mlogin +\[0m for \[redacted\]$/,
    ],
    [
      'a signal',
      () => script(`process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)`),
      /was ended by a signal/,
    ],
    ['nothing', () => printing(' \n'), /printed nothing/],
    ['several lines', () => printing('Your token:\ns3cret-token\n'), /printed 2 lines/],
    ['a sentence', () => printing('please log in first'), /no access token/],
    ['an escape sequence', () => printing('\u001b]0;x\u0007'), /no access token/],
    [
      'too much',
      () => script(`process.stdout.write('x'.repeat(20_000)); setInterval(() => {}, 1000)`),
      /more than 16 KiB/,
    ],
    [
      'output without end',
      () => script(`const more = () => process.stdout.write('x'.repeat(9000), more); more()`),
      /more than 16 KiB/,
    ],
  ])('%s', async (_name, command, words) => {
    const error = await failure(command());
    expect(error.code).toBe('not_signed_in');
    expect(error.message).toContain('--token-command');
    expect(error.message).toMatch(words);
    expect(error.hint).toBeTruthy();
    expect(`${error.message}${error.hint}${String(error.cause)}`).not.toMatch(/s3cret|ya29|please log in/);
  });

  test('a command that does not end: killed after its time', async () => {
    const { runCommand } = await import('../../../src/lib/run-command.ts');
    const words = script('setInterval(() => {}, 1000)').split(' ');
    const error = await runCommand(words, { timeoutMs: 1_000, maxBytes: 1 }).catch(
      (thrown: AppError) => thrown,
    );
    expect(error).toMatchObject({ code: 'timeout' });
  });
});

test(threat('S2', 'a token command inherits no secret of ours'), async () => {
  // What the edge of the process takes out of its own environment, nobody inherits.
  const { systemContext } = await import('../../../src/cli/context.ts');
  const names = ['MCP_WHOAMI_TOKEN', 'MCP_WHOAMI_CLIENT_SECRET', 'MCP_WHOAMI_PASSPHRASE'];
  for (const name of names) process.env[name] = `secret-of-${name}`;
  systemContext();
  const printed = await tokens(
    script('console.log(Buffer.from(JSON.stringify(process.env)).toString("hex").slice(0, 8000))'),
  ).current();
  const environment = Buffer.from(printed?.reveal() ?? '', 'hex').toString();
  expect(environment).toContain('PATH');
  for (const name of names) expect(environment).not.toContain(name);
});
