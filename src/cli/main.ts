import { AppError } from '../lib/errors.ts';
import { nearest } from '../lib/text.ts';
import { version } from '../lib/version.ts';
import type { Command } from './command.ts';
import { type Context, type ExitCode, systemContext } from './context.ts';
import { renderError } from './render-error.ts';
import { type Given, readArguments } from './settings/resolve.ts';

/** The command table: one lazy import a command, so that each start loads what it needs and no more. */
const commands: Readonly<
  Record<string, { readonly summary: string; load(): Promise<{ command: Command }> }>
> = {
  demo: { summary: 'try it all on this machine', load: () => import('./commands/demo.ts') },
  login: { summary: 'sign in to a server', load: () => import('./commands/login.ts') },
  logout: { summary: 'revoke and forget a sign-in', load: () => import('./commands/logout.ts') },
  status: { summary: 'the servers you are signed in to', load: () => import('./commands/status.ts') },
  use: { summary: 'make a server the default one', load: () => import('./commands/use.ts') },
  whoami: { summary: 'ask a server who you are', load: () => import('./commands/whoami.ts') },
  bridge: { summary: 'the stdio MCP endpoint for clients', load: () => import('./commands/bridge.ts') },
  serve: { summary: 'run the protected whoami server', load: () => import('./commands/serve.ts') },
};

/** In: the arguments after the program's name. Out: the exit code. Nothing thrown leaves it. */
export async function run(argv: readonly string[], context: Context = systemContext()): Promise<ExitCode> {
  // Read before parsing, so that a usage error is rendered in the wanted form too.
  const how = {
    json: argv.includes('--json'),
    debug: argv.includes('--log-level=debug') || argv.join(' ').includes('--log-level debug'),
  };
  try {
    return await dispatch(argv, context);
  } catch (error) {
    return renderError(error, context, how);
  } finally {
    context.http.close();
  }
}

async function dispatch(argv: readonly string[], context: Context): Promise<ExitCode> {
  const [first, ...rest] = argv;
  if (first === '--version' || first === 'version') {
    context.print(version);
    return 0;
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    const name = rest[0];
    return name === undefined ? showHelp(context) : showCommandHelp(context, name, await loadCommand(name));
  }
  if (first === undefined || first.startsWith('-')) {
    return context.stdin.isTTY ? helpOnTerminal(argv, context) : runCommand('bridge', argv, context);
  }
  // For people who registered `serve`: the bridge, with the bridge's own flags.
  if (first === 'serve' && rest.includes('--stdio')) {
    return runCommand(
      'bridge',
      rest.filter((word) => word !== '--stdio'),
      context,
    );
  }
  return runCommand(first, rest, context);
}

/** Nobody speaks MCP by hand: the bridge would wait without a word. `--version` and wrong flags are as ever. */
async function helpOnTerminal(argv: readonly string[], context: Context): Promise<ExitCode> {
  const { options, positionals } = await loadCommand('bridge');
  const { flags } = readArguments(argv, options, positionals.length);
  if (flags.has('help') || flags.has('version')) return runCommand('bridge', argv, context);
  return showHelp(context);
}

async function runCommand(name: string, argv: readonly string[], context: Context): Promise<ExitCode> {
  const command = await loadCommand(name);
  const given: Given = readArguments(argv, command.options, command.positionals.length);
  if (given.flags.has('help')) return showCommandHelp(context, name, command);
  if (given.flags.has('version')) {
    context.print(version);
    return 0;
  }
  return command.run(context, given);
}

async function loadCommand(name: string): Promise<Command> {
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry) return (await entry.load()).command;
  const near = nearest(name, Object.keys(commands));
  throw new AppError('usage', `there is no command "${name}"`, {
    hint: near ? `did you mean mcp-whoami ${near}?` : 'mcp-whoami --help lists the commands',
  });
}

async function showHelp(context: Context): Promise<ExitCode> {
  const { overview } = await import('./help.ts');
  context.print(overview(Object.entries(commands).map(([name, { summary }]) => [name, summary])));
  return 0;
}

async function showCommandHelp(context: Context, name: string, command: Command): Promise<ExitCode> {
  const { commandHelp } = await import('./help.ts');
  context.print(commandHelp(name, command));
  return 0;
}
