export interface Account {
  readonly server: URL | string;
  /** Default: `default`. */
  readonly profile?: string | undefined;
}

/** The line that a person types to sign in to a server, or out of it, under a profile. */
export function commandLine(command: 'login' | 'logout', { server, profile = 'default' }: Account): string {
  const url = typeof server === 'string' ? server : server.href;
  return `mcp-whoami ${command} ${url}${profile === 'default' ? '' : ` --profile ${profile}`}`;
}
