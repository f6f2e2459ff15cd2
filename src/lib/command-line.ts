export interface Account {
  readonly server: URL | string;
  /** Default: `default`. */
  readonly profile?: string | undefined;
}

/** The line that a person types to sign in to a server, or out of it, under a profile. */
export function commandLine(command: 'login' | 'logout', { server, profile = 'default' }: Account): string {
  const url = shellWord(typeof server === 'string' ? server : server.href) ?? 'URL';
  const under = profile === 'default' ? '' : ` --profile ${shellWord(profile) ?? 'NAME'}`;
  return `mcp-whoami ${command} ${url}${under}`;
}

/**
 * `text` as one word of a line that is pasted into a shell, bare or in double quotes. Undefined where a shell, on
 * Windows too, would find something to replace in those: a URL or a scope that somebody else chose may be a command.
 */
export function shellWord(text: string): string | undefined {
  if (/^[\w:./@+,=~#%-]+$/.test(text)) return text;
  return /^[\w:./@+,=~#%?&;()|'*[\] -]+$/.test(text) ? `"${text}"` : undefined;
}
