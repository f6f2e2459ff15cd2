import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './command.ts';

const folder = join(root, 'docs/providers');

/** The pages of `docs/providers`, by file name without its ending; the index among them. */
export const providerPages = readdirSync(folder)
  .filter((name) => name.endsWith('.md'))
  .map((name) => name.slice(0, -'.md'.length));

export const textOfPage = (page: string) => readFileSync(join(folder, `${page}.md`), 'utf8');

/** The arguments of each `mcp-whoami ...` line that a text tells to type. */
export function commandsIn(text: string): readonly (readonly string[])[] {
  const blocks = [...text.matchAll(/^\s*```sh\n(.*?)^\s*```/gms)].map(([, block = '']) => block);
  return blocks
    .flatMap((block) => block.split('\n'))
    .map((line) => words(line.replace(/\s#\s.*$/, '')))
    .filter(([first]) => first === 'mcp-whoami')
    .map(([, ...args]) => args);
}

/** The words of a line as a shell has them; quotes, and nothing else, are special. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replace(/["']/g, ''));
}
