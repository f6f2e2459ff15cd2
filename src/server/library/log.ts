import { type Log, type LogLevel, shownFields, silentLog } from '../../lib/log.ts';
import type { LogEntry } from './types.ts';

/** A log that hands its events over one by one. */
export function logTo(sink: ((entry: LogEntry) => void) | undefined): Log {
  if (!sink) return silentLog;
  const at =
    (level: LogLevel): Log[LogLevel] =>
    (message, fields = {}) =>
      sink({ level, message, fields: shownFields(fields) });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug'), level: 'debug' };
}
