import { AppError, reasonOf } from './errors.ts';
import { Secret } from './secret.ts';
import { display } from './text.ts';

export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

/** One line an event. The message is ours; everything from outside goes into the fields, which are quoted. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  readonly level: LogLevel;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Takes one finished line, its newline included. Standard error, never standard output. */
  readonly write: (line: string) => void;
  /** `json` writes one object a line. Default: `text`. */
  readonly format?: 'text' | 'json';
  /** Milliseconds since the epoch, for the `json` form. */
  readonly now?: () => number;
}

export function createLog(options: LogOptions): Log {
  const threshold = logLevels.indexOf(options.level);
  const line = options.format === 'json' ? jsonLine : textLine;
  const at = (level: LogLevel) =>
    logLevels.indexOf(level) > threshold
      ? () => {}
      : (message: string, fields: LogFields = {}) =>
          options.write(`${line(level, message, fields, options.now ?? Date.now)}\n`);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), level: options.level };
}

/** A log that goes nowhere. */
export const silentLog: Log = createLog({ level: 'error', write: () => {} });

function textLine(level: LogLevel, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
  const tail = pairs.map(([key, value]) => ` ${key}=${JSON.stringify(display(textOf(value)))}`).join('');
  return `mcp-whoami: ${level === 'info' ? '' : `${level}: `}${display(message, 1000)}${tail}`;
}

function jsonLine(level: LogLevel, message: string, fields: LogFields, now: () => number): string {
  return JSON.stringify({
    time: new Date(now()).toISOString(),
    level,
    message: display(message, 1000),
    ...shownFields(fields),
  });
}

/** Fields as they may be shown: numbers, truth values, and text that is safe to print. */
export function shownFields(fields: LogFields): Record<string, string | number | boolean> {
  const shown: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    shown[key] = typeof value === 'number' || typeof value === 'boolean' ? value : display(textOf(value));
  }
  return shown;
}

function textOf(value: unknown): string {
  if (value instanceof AppError && value.cause !== undefined) {
    return `${value.code}: ${value.message} (${reasonOf(value.cause)})`;
  }
  if (value instanceof AppError) return `${value.code}: ${value.message}`;
  if (value instanceof Error) return reasonOf(value);
  if (value instanceof Secret || typeof value !== 'object' || value === null) return String(value);
  return JSON.stringify(value);
}
