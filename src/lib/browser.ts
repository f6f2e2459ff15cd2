import { type ChildProcess, spawn } from 'node:child_process';
import type { Machine } from './desktop.ts';
import { AppError } from './errors.ts';
import { commandWords } from './run-command.ts';
import { secureUrl, type UrlPolicy } from './url.ts';

type Desktop = Pick<Machine, 'platform' | 'environment'>;

/**
 * Opens `url` in the person's browser.
 *
 * In: the URL; `command`, the value of `BROWSER` if it is set; which plain-http origins are allowed; what decides
 * about the system's own program. Out: whether
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
  machine: Desktop = { platform: process.platform, environment: {} },
): Promise<boolean> {
  const { href } = secureUrl(url, 'the authorization URL', policy);
  const given = command ? browserCommand(command, href) : undefined;
  if (given === 'none') return false;
  const starts = given
    ? [() => start(given)]
    : systemOpeners(machine, href).map((argv) => () => startOpener(argv, machine));
  for (const begin of starts) {
    try {
      return await survives(await begin());
    } catch {
      // It is not there; the next one may be.
    }
  }
  return false;
}

/**
 * `open` starts the program that it is named, and on macOS the system's own. Left to choose on Windows it would take
 * PowerShell, and on Linux a script of its own: so it is asked for neither.
 */
async function startOpener(argv: readonly string[], { platform }: Desktop): Promise<ChildProcess> {
  const [name = '', href = '', ...more] = argv;
  if (more.length > 0) return start(argv);
  const { default: open } = await import('open');
  return open(href, platform === 'darwin' ? {} : { app: { name } });
}

/**
 * The programs that open a URL in the system's browser, the first that is there to be taken. None of them is a
 * command interpreter (MCP security best practices, "OAuth URL validation": no cmd, sh or PowerShell).
 */
export function systemOpeners(
  { platform, environment }: Desktop,
  href: string,
): readonly (readonly string[])[] {
  const handler = ['url.dll,FileProtocolHandler', href];
  if (platform === 'darwin') return [['/usr/bin/open', href]];
  if (platform === 'win32')
    return [[`${environment.SystemRoot || 'C:\\Windows'}\\System32\\rundll32.exe`, ...handler]];
  const onWindows = environment.WSL_DISTRO_NAME
    ? [
        ['wslview', href],
        ['/mnt/c/Windows/System32/rundll32.exe', ...handler],
      ]
    : [];
  return [...onWindows, ['xdg-open', href]];
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
