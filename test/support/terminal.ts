import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bin } from './command.ts';
import { until } from './until.ts';

const tmux = '/usr/bin/tmux';
export const hasTerminal = existsSync(tmux);

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
  /** `$TERM`. Default: `xterm-256color`. */
  readonly term?: string;
}

/** The built command on a pseudo-terminal, seen through a real terminal emulator. */
export interface Terminal {
  /** What a person sees now, without the empty lines at the end. */
  screen(): string;
  /** Every byte that was printed. */
  printed(): string;
  /** Resolves with the match as soon as the screen, its wrapped lines put together, fits. */
  shows(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Keys by tmux's names: `C-c`, `Enter`. */
  press(...keys: string[]): void;
  /** As the person's terminal does: marked as a paste where the command asked for marks, unless `marked` is false. */
  paste(text: string, marked?: boolean): void;
  resize(columns: number): void;
  /** The exit code. */
  readonly ended: () => Promise<number>;
  close(): void;
}

export async function openTerminal(
  args: readonly string[],
  { env = {}, columns = 100, rows = 40, term = 'xterm-256color' }: TerminalOptions = {},
): Promise<Terminal> {
  const folder = mkdtempSync(join(tmpdir(), 'whoami-terminal-'));
  const [socket, log] = [join(folder, 'socket'), join(folder, 'printed')];
  writeFileSync(log, '');
  const run = (words: readonly string[], input = '') => {
    const clean = { PATH: process.env.PATH, HOME: folder, LANG: 'C.UTF-8', TERM: 'xterm-256color' };
    const { status, stdout, stderr } = spawnSync(tmux, ['-u', '-f', '/dev/null', '-S', socket, ...words], {
      input,
      encoding: 'utf8',
      env: clean,
    });
    if (status !== 0) throw new Error(`tmux ${words[0]}: ${stderr}`);
    return stdout;
  };
  const size = ['-x', String(columns), '-y', String(rows)];
  const variables = Object.entries({ LANG: 'C.UTF-8', ...env }).flatMap(([name, value]) => [
    '-e',
    `${name}=${value}`,
  ]);
  // It starts when its bytes are being recorded.
  const command = [
    'sh',
    '-c',
    'stty -echo; read -r _; stty echo; exec "$@"',
    'sh',
    process.execPath,
    bin,
    ...args,
  ];
  run([
    ...[
      'start-server',
      ';',
      'set',
      '-g',
      'default-terminal',
      term,
      ';',
      'set',
      '-g',
      'remain-on-exit',
      'on',
      ';',
    ],
    ...['set', '-g', 'status', 'off', ';', 'new-session', '-d', ...size, ...variables, ...command],
  ]);
  run(['pipe-pane', '-O', `cat >> ${log}`]);
  run(['send-keys', 'Enter']);

  const state = (format: string) => run(['display-message', '-p', format]).trim();
  const capture = (...how: string[]) => run(['capture-pane', '-p', '-S', '-', ...how]).trimEnd();
  return {
    screen: () => capture(),
    printed: () => readFileSync(log, 'utf8'),
    shows: (pattern) =>
      until(`${pattern} on the screen`, 20_000, () => capture('-J').match(pattern) ?? undefined).catch(
        (error: unknown) => {
          throw new Error(`${error}\n${capture()}`);
        },
      ),
    press: (...keys) => void run(['send-keys', ...keys]),
    paste(text, marked = true) {
      run(['load-buffer', '-'], text);
      run(['paste-buffer', '-d', ...(marked ? ['-p'] : [])]);
    },
    resize: (to) => void run(['resize-window', '-x', String(to)]),
    ended: async () => {
      await until('the end of the command', 20_000, () => state('#{pane_dead}') === '1' || undefined);
      return Number(state('#{pane_dead_status}'));
    },
    close() {
      spawnSync(tmux, ['-S', socket, 'kill-server']);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
