import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { visitAsDemoUser } from '../../src/idp/visitor.ts';
import { command, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Serving, serve } from '../support/serve.ts';
import { signIn } from '../support/sign-in.ts';

let home: Home;
let servers: readonly Serving[];
const run = (...args: string[]) => command(args, { env: home.env });
const url = (i: number) => servers[i]?.sse ?? '';

/** Alice under the default profile and Bob under `work`, at three servers. */
beforeAll(async () => {
  home = makeHome();
  servers = await Promise.all([serve(), serve(), serve()]);
  for (const { sse } of servers) {
    await signIn(sse, home.env, [], 'alice');
    await signIn(sse, home.env, ['--profile', 'work'], 'bob');
  }
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  home.remove();
});

describe('three servers, two accounts at each', () => {
  test('status lists them by server, the default one first, an account a line', async () => {
    const { code, stdout, stderr } = await run('status');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const blocks = stdout.trimEnd().split('\n\n');
    expect(blocks[0]?.split('\n')).toEqual([
      `${url(0)}  (default server)`,
      expect.stringMatching(
        /^ {2}default {2}Alice Liddell \(alice\) {2}for \d+ min more, renewed by itself$/,
      ),
      expect.stringMatching(/^ {2}work {5}Bob Cratchit \(bob\) {5}for \d+ min more, renewed by itself$/),
    ]);
    const others = blocks.slice(1).map((block) => block.split('\n'));
    expect(others.map(([server]) => server).sort()).toEqual([url(1), url(2)].sort());
    expect(others.map((lines) => lines.length)).toEqual([3, 3]);
  });

  test('--json has each with its profile; --profile and URL choose', async () => {
    const listed = async (...args: string[]) => {
      const { stdout } = await run('status', '--json', ...args);
      const found = (JSON.parse(stdout) as { servers: Record<string, unknown>[] }).servers;
      return found.map((one) => [one.url, one.profile, one.subject]);
    };
    const all = servers.flatMap(({ sse }) => [
      [sse, 'default', 'alice'],
      [sse, 'work', 'bob'],
    ]);
    expect((await listed()).sort()).toEqual(all.sort());
    expect(await listed('--profile', 'work')).toHaveLength(3);
    expect(await listed(url(1))).toEqual([[url(1), 'default', 'alice']]);
    expect(await listed(url(1), '--profile', 'work')).toEqual([[url(1), 'work', 'bob']]);
  });

  test('each call is made as the account that it names', async () => {
    const who = async (...args: string[]) =>
      (JSON.parse((await run('whoami', '--json', ...args)).stdout) as { sub: string }).sub;
    expect(
      await Promise.all([who(), who('--profile', 'work'), who(url(2)), who(url(2), '--profile', 'work')]),
    ).toEqual(['alice', 'bob', 'alice', 'bob']);
  });

  test('signing one out leaves the others; status tells the line that brings it back', async () => {
    const { stdout } = await run('logout', url(1), '--profile', 'work');
    expect(stdout).toBe(`Signed out of ${url(1)} [profile work]; the tokens are revoked.\n`);
    const whoami = await run('whoami', url(1), '--profile', 'work', '--json');
    expect(whoami.code).toBe(3);
    const { error } = JSON.parse(whoami.stderr.trimEnd().split('\n').at(-1) ?? '');
    expect(error).toMatchObject({ code: 'not_signed_in' });
    expect(error.hint).toContain(`mcp-whoami login ${url(1)} --profile work`);
    expect((await run('whoami', url(1))).stdout).toContain('alice');
    expect((await run('whoami', url(2), '--profile', 'work')).stdout).toContain('bob');
  });
});

describe('another account under the same profile', () => {
  test('--switch-account asks for the choice; who was there before is told, in the terminal and on the page', async () => {
    const login = start(['login', url(2), '--no-browser', '--switch-account'], { env: home.env });
    const [address] = await login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
    expect(new URL(address).searchParams.get('prompt')).toBe('select_account consent');
    const redirected = await visitAsDemoUser(address, 'bob', { elsewhere: true });
    const page = await (await fetch(redirected)).text();
    const { code, stdout, stderr } = await login.finished;
    expect(code).toBe(0);
    expect(stdout).toContain('signed in as Bob Cratchit (bob)');
    expect(stderr).toContain(
      'you are signed in as another account than before before="Alice Liddell" now="Bob Cratchit"',
    );
    expect(stderr).toContain('--profile NAME');
    expect(page).toMatch(/Bob Cratchit[\s\S]*Instead of[\s\S]*Alice Liddell/);
  });

  test('the same account again is no news', async () => {
    const { stderr } = await signIn(url(2), home.env, [], 'bob');
    expect(stderr).not.toContain('another account');
  });
});
