import { type ChildProcess, spawn } from 'node:child_process';
import { AppError } from './errors.ts';
import { commandWords } from './run-command.ts';
import { secureUrl, type UrlPolicy } from './url.ts';

/**
 * Opens `url` in the person's browser.
 *
 * In: the URL; `command`, the value of `BROWSER` if it is set; which plain-http origins are allowed. Out: whether
 * a browser could be started, and did not fail within a moment; one that fails later looks like one that started,
 * so the caller shows the URL as well. Throws AppError `insecure_url` for anything but https and loopback http.
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
    return await survives(argv ? await start(argv) : await (await import('open')).default(href));
  } catch {
    return false;
  }
}

/** How long a starter may take to find out that it has nothing to start. Milliseconds. */
const momentMs = 1_500;

/** False when the child ends with an error within a moment. */
function survives(child: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    const judge = (code: number | null) => resolve(code === 0);
    if (child.exitCode !== null) return judge(child.exitCode);
    child.once('exit', judge);
    setTimeout(() => resolve(true), momentMs).unref();
  });
}

/**
 * What `BROWSER` means: `none`; an existing file or a single word, which is the command; else words split at
 * white space, `%s` replaced by the URL or the URL appended.
 */
export function browserCommand(command: string, href: string): readonly string[] | 'none' {
  if (command.trim() === 'none') return 'none';
  const words = commandWords(command);
  return words.includes('%s') ? words.map((word) => (word === '%s' ? href : word)) : [...words, href];
}

function start([file = '', ...args]: readonly string[]): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'ignore', detached: true, shell: false });
    child.once('error', (cause) => reject(new AppError('internal', `${file} cannot be started`, { cause })));
    child.once('spawn', () => {
      child.unref();
      resolve(child);
    });
  });
}
