import { expect, test } from 'vitest';
import type { Context } from '../../../src/cli/context.ts';
import { run } from '../../../src/cli/main.ts';

/** The edges that `run` touches before a command has them, on a terminal. */
function terminal() {
  const told: string[] = [];
  const say = (text: string) => void told.push(text);
  const signals = { exitCode: () => undefined };
  const context = { stdin: { isTTY: true }, print: say, say, signals, http: { close() {} } };
  return { context: context as unknown as Context, told: () => told.join('\n') };
}

test.each([[[]], [['--log-level', 'debug']], [['--profile', 'work']]])(
  'on a terminal %j is the help, no bridge that waits for a client without a word',
  async (argv) => {
    const { context, told } = terminal();
    expect(await run(argv, context)).toBe(0);
    expect(told()).toContain('Usage: mcp-whoami <command>');
  },
);

test('its flags are checked all the same', async () => {
  const { context, told } = terminal();
  expect(await run(['--profil', 'work'], context)).toBe(2);
  expect(told()).toContain('did you mean --profile?');
});
