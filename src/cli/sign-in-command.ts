/** The line that a person types to sign in. */
export function signInCommand(server: URL, profile: string): string {
  return `mcp-whoami login ${server.href}${profile === 'default' ? '' : ` --profile ${profile}`}`;
}
