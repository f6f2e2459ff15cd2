import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { commandLine, shellWord } from '../../../src/lib/command-line.ts';
import { threat } from '../../support/threats.ts';

/** What a shell makes of a line. */
function words(line: string): string[] {
  const script = `mcp-whoami() { printf '%s\\n' "$@"; }; set -f; ${line}`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
}

describe('a line to type', () => {
  test.each([
    'https://mcp.example/sse',
    'https://mcp.example/mcp?tenant=a&b=1',
    'https://mcp.example/~me/%20x;id',
    "https://mcp.example/(x)|id'",
  ])('with %s is one command with that URL', (url) => {
    const line = commandLine('login', { server: new URL(url), profile: 'work' });
    expect(words(line)).toEqual(['login', new URL(url).href, '--profile', 'work']);
  });

  test.each(['$(id)', '${IFS}', 'x?`id`', '!!'])(
    threat('C5', 'runs nothing that a URL has in it: %s is not written out'),
    (part) => {
      const line = commandLine('logout', { server: new URL(`https://mcp.example/${part}`), profile: part });
      expect(line).toBe('mcp-whoami logout URL --profile NAME');
    },
  );

  test.each(['a"b', 'a\\b', 'a$b', 'a`b', 'a\nb', 'a\u202eb', ''])('%j is no word of one', (text) => {
    expect(shellWord(text)).toBeUndefined();
  });
});
