import { readFileSync } from 'node:fs';
import type { Log } from '../../lib/log.ts';
import type { ServerSettings } from '../../lib/settings.ts';

/** Beside the streams: their POSTs, the log, the bundle's own files. */
const spare = 1_024;

/** Warns where the system would let fewer streams open than the settings do: each is an open file. */
export function warnOfOpenFiles({ maxSessions }: ServerSettings, log: Log, limits = systemLimits()): void {
  const most = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (most === undefined || Number(most) >= maxSessions + spare) return;
  log.warn(
    'fewer files may be open than streams: raise the limit (ulimit -n, LimitNOFILE), or lower --max-sessions',
    {
      'open files': Number(most),
      streams: maxSessions,
    },
  );
}

/** Linux alone tells; Node has raised its own limit to the highest that it may have by then. */
function systemLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}
