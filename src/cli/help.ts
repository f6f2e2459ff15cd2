import type { Command } from './command.ts';

/** `mcp-whoami --help`: what it is, the commands, where to go on. */
export function overview(commands: readonly (readonly [name: string, summary: string])[]): string {
  return [
    'mcp-whoami puts a remote, OAuth-protected MCP server within reach of local MCP clients.',
    '',
    'Usage: mcp-whoami <command> [URL] [flags]',
    '',
    ...table(commands.map(([name, summary]) => [name, summary])),
    '',
    'mcp-whoami <command> --help tells more. Without a command, and with a client on standard input,',
    'it is the bridge to your default server.',
    '',
    'Variables of every command, beside those of its flags:',
    ...table(variablesOfAll),
  ].join('\n');
}

/** Read where the process starts, or by those who open connections and browsers: no command's own settings. */
const variablesOfAll: readonly (readonly [name: string, help: string])[] = [
  ['MCP_WHOAMI_CONFIG_DIR', "the configuration folder (default: the system's usual one)"],
  ['BROWSER', "the browser's command, in place of the system's; none: no browser"],
  ['HTTPS_PROXY, NO_PROXY', 'the proxy for https, and what is reached without it'],
  ['NODE_EXTRA_CA_CERTS', 'a PEM file of certificate authorities to trust beside the usual ones'],
];

/** `mcp-whoami COMMAND --help`. */
export function commandHelp(name: string, command: Command): string {
  const options = Object.values(command.options);
  const flags = options.flatMap(({ flag, short, value, variables, help }) =>
    flag
      ? [
          [
            `${short ? `-${short}, ` : ''}--${flag}${value ? ` ${value}` : ''}`,
            withVariables(help, variables),
          ] as const,
        ]
      : [],
  );
  const variables = options.flatMap(({ flag, variables: names, help }) =>
    flag || !names ? [] : [[names.join(', '), help] as const],
  );
  return [
    `Usage: mcp-whoami ${[name, ...command.positionals].join(' ')} [flags]`,
    '',
    command.about,
    '',
    'Flags:',
    ...table(flags),
    ...(variables.length > 0 ? ['', 'Variables:', ...table(variables)] : []),
  ].join('\n');
}

function withVariables(help: string, variables: readonly string[] | undefined): string {
  return variables ? `${help} [${variables.join(', ')}]` : help;
}

const width = 100;
const column = 30;

/** Two columns; the second one wrapped at 100 characters. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, width - column);
    const head = `  ${left.padEnd(column - 4)}  `;
    const first =
      head.length > column
        ? [head.trimEnd(), ' '.repeat(column) + (lines[0] ?? '')]
        : [head + (lines[0] ?? '')];
    return [...first, ...lines.slice(1).map((line) => ' '.repeat(column) + line)];
  });
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > columns) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}
