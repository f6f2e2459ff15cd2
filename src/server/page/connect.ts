/** How one client is told of this server. */
export interface Connection {
  readonly client: string;
  /** Where the text goes: a file, a terminal. */
  readonly where: string;
  /** What to copy. */
  readonly text: string;
}

/**
 * How to connect each client to the server at `url`, by way of the bridge: the client starts a local process and
 * never sees a token. In: the URL of the endpoint.
 */
export function connections(url: string): readonly Connection[] {
  const entry = { command: 'mcp-whoami', args: ['bridge', url] };
  const servers = JSON.stringify({ mcpServers: { whoami: entry } }, undefined, 2);
  return [
    { client: 'Claude Desktop', where: 'claude_desktop_config.json', text: servers },
    { client: 'Claude Code', where: 'a terminal', text: `claude mcp add whoami -- mcp-whoami bridge ${url}` },
    { client: 'Cursor', where: '~/.cursor/mcp.json', text: servers },
    {
      client: 'VS Code',
      where: '.vscode/mcp.json, or the user’s mcp.json',
      text: JSON.stringify({ servers: { whoami: { type: 'stdio', ...entry } } }, undefined, 2),
    },
    { client: 'Codex', where: 'a terminal', text: `codex mcp add whoami -- mcp-whoami bridge ${url}` },
    { client: 'Gemini CLI', where: 'a terminal', text: `gemini mcp add whoami mcp-whoami bridge ${url}` },
    {
      client: 'Zed',
      where: 'settings.json',
      text: JSON.stringify({ context_servers: { whoami: entry } }, undefined, 2),
    },
    { client: 'Any other client', where: 'its list of MCP servers', text: servers },
  ];
}
