import { describe, expect, it } from 'vitest';
import { command as login } from '../../../src/cli/commands/login.ts';
import { command as serve } from '../../../src/cli/commands/serve.ts';
import { issuerSettings } from '../../../src/cli/settings/issuers.ts';
import { readArguments, resolve } from '../../../src/cli/settings/resolve.ts';
import { serverOptions, serverSettings } from '../../../src/cli/settings/server.ts';
import { commandsIn, providerPages, textOfPage } from '../../support/provider-pages.ts';

const pages = providerPages.filter((page) => page !== 'README');

/** Reads a command line as the command itself does, values and all. Throws what it throws. */
function accept([name, ...argv]: readonly string[]): void {
  const command = { login, serve }[name ?? ''];
  if (!command) throw new Error(`no page should tell to type ${name}`);
  const { flags } = readArguments(argv, command.options, command.positionals.length);
  const introspects = argv.includes('introspection');
  const environment: Record<string, string> = introspects
    ? { MCP_WHOAMI_INTROSPECTION_CLIENT_ID: 'id', MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET: 'secret' }
    : {};
  const levels = { flags, environment, files: [] };
  resolve(command.options, levels);
  if (name !== 'serve') return;
  const values = resolve(serverOptions, levels);
  serverSettings(values, issuerSettings(levels, values.issuer, undefined), true);
}

describe('docs/providers', () => {
  it('has the ten pages, each in the index', () => {
    expect(pages).toHaveLength(10);
    const index = textOfPage('README');
    for (const page of pages) expect(index).toContain(`(${page}.md)`);
  });

  it.each(pages)(
    '%s: tells what to set up, its habits, the server and how it was checked; ends in one login',
    (page) => {
      const text = textOfPage(page);
      for (const heading of ['## The server', '## Checked', '## Sign in']) expect(text).toContain(heading);
      expect(text).toMatch(/^## (At|What) /m);
      const last = text.slice(text.indexOf('## Sign in'));
      expect(commandsIn(last).map(([name]) => name)).toEqual(['login']);
      expect(last.trimEnd().endsWith('```')).toBe(true);
    },
  );

  it.each(providerPages)('%s: every command is accepted, flags and values', (page) => {
    for (const command of commandsIn(textOfPage(page))) {
      expect(() => accept(command), command.join(' ')).not.toThrow();
    }
  });

  it('would notice a flag that does not exist, and a value out of range', () => {
    expect(() => accept(['login', 'https://mcp.example.com/mcp', '--assume-pkcs'])).toThrow(/unknown flag/);
    expect(() => accept(['login', 'https://mcp.example.com/mcp', '--redirect-port', '0'])).toThrow();
  });
});
