import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { AppError } from './errors.ts';
import { secureUrl, type UrlPolicy } from './url.ts';

/**
 * Opens `url` in the person's browser.
 *
 * In: the URL; `command`, the value of `BROWSER` if it is set; which plain-http origins are allowed. Out: whether
 * a browser could be started; a browser that starts and then fails looks like one that started, so the caller
 * shows the URL as well. Throws AppError `insecure_url` for anything but https and loopback http.
 *
 * No shell is involved and the URL is one element of the argument list (CVE-2025-6514): it is parsed, checked
 * and serialised again before it is handed on.
 */
export async function openInBrowser(
  url: string,
  command: string | undefined,
  policy: UrlPolicy = {},
): Promise<boolean> {
  const { href } = secureUrl(url, 'the authorization URL', policy);
  const argv = command ? browserCommand(command, href) : undefined;
  if (argv === 'none') return false;
  try {
    if (argv) await start(argv);
    else await (await import('open')).default(href);
    return true;
  } catch {
    return false;
  }
}

/**
 * What `BROWSER` means: `none`; an existing file or a single word, which is the command; else words split at
 * white space, `%s` replaced by the URL or the URL appended.
 */
export function browserCommand(command: string, href: string): readonly string[] | 'none' {
  const given = command.trim();
  if (given === 'none') return 'none';
  if (existsSync(given)) return [given, href];
  const words = given.split(/\s+/);
  return words.includes('%s') ? words.map((word) => (word === '%s' ? href : word)) : [...words, href];
}

function start([file = '', ...args]: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'ignore', detached: true, shell: false });
    child.once('error', (cause) => reject(new AppError('internal', `${file} cannot be started`, { cause })));
    child.once('spawn', () => {
      child.unref();
      resolve();
    });
  });
}
