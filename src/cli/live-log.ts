import type { Log, LogLevel } from '../lib/log.ts';

export type LogFormat = 'text' | 'json';

/** A log whose level and form may change while it is in use. */
export interface LiveLog extends Log {
  switchTo(level: LogLevel, format: LogFormat): void;
}

/** In: what makes a log of a level and a form. */
export function createLiveLog(
  make: (level: LogLevel, format: LogFormat) => Log,
  level: LogLevel,
  format: LogFormat,
): LiveLog {
  let current = make(level, format);
  return {
    error: (message, fields) => current.error(message, fields),
    warn: (message, fields) => current.warn(message, fields),
    info: (message, fields) => current.info(message, fields),
    debug: (message, fields) => current.debug(message, fields),
    get level() {
      return current.level;
    },
    switchTo(nextLevel, nextFormat) {
      current = make(nextLevel, nextFormat);
    },
  };
}
