import { readdirSync, readFileSync } from 'node:fs';

/** A process and all its descendants, from /proc (Linux). */
export function treeOf(pid) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statOf(name)?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [pid];
  for (const one of found) found.push(...(children.get(one) ?? []));
  return found;
}

/** CPU time that a process and its descendants have used so far. Milliseconds, in steps of 10. */
export function cpuMs(pid) {
  return sum(treeOf(pid), (one) => {
    const stat = statOf(one);
    return stat ? (Number(stat[11]) + Number(stat[12])) * 10 : 0;
  });
}

/** Resident memory of a process and its descendants: now (`VmRSS`) or at its highest (`VmHWM`). KiB. */
export function memoryKb(pid, field = 'VmRSS') {
  return sum(treeOf(pid), (one) => {
    const line = new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(read(`/proc/${one}/status`));
    return Number(line?.[1] ?? 0);
  });
}

/** The load of the last minute. */
export function load() {
  return Number(read('/proc/loadavg').split(' ')[0]);
}

/** Asks a process to end, and ends it 2 s later at the latest. Resolves when it has. */
export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const family = treeOf(child.pid);
  child.kill('SIGTERM');
  const timer = setTimeout(() => {
    for (const one of family) {
      try {
        process.kill(one, 'SIGKILL');
      } catch {}
    }
  }, 2_000);
  await ended;
  clearTimeout(timer);
}

const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);

/** The fields of /proc/PID/stat behind the name, which may hold anything. */
function statOf(pid) {
  const text = read(`/proc/${pid}/stat`);
  return text ? text.slice(text.lastIndexOf(')') + 2).split(' ') : undefined;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
