/** How an MCP client is told to start us: absolute paths, so that neither PATH nor npx matters. */
export function registration(node: string, script: string, args: readonly string[]): string {
  const entry = { mcpServers: { whoami: { command: node, args: [script, ...args] } } };
  return JSON.stringify(entry, undefined, 2);
}

/** What the demo ends with: the exact lines for a client's configuration file. */
export function registrationLines(node: string, script: string, server: string): string {
  return [
    'To have this in Claude Desktop, put into its claude_desktop_config.json (Settings, Developer, Edit Config):',
    '',
    registration(node, script, ['serve']),
    '',
    'That is server and bridge in one. For a server that runs elsewhere, sign in once and register the bridge:',
    '',
    `  mcp-whoami login ${server}`,
    '',
    registration(node, script, ['bridge', server]),
  ].join('\n');
}
