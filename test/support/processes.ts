import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel shows of a process to everybody who may look. */
export interface Sampled {
  readonly cmdline: string;
  readonly environ: string;
}

export interface Sampler {
  /** Every process below `pid` that was seen, the first environment and all command lines of each. */
  readonly seen: ReadonlyMap<number, Sampled>;
  stop(): void;
}

const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has ended meanwhile.
    return '';
  }
};

/** Looks at /proc again and again, for as long as it is let: all descendants of this very process. Linux. */
export function sampleProcesses(): Sampler {
  const seen = new Map<number, Sampled>();
  const look = () => {
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const parent = /^\d+ \(.*\) \S (\d+)/s.exec(read(`/proc/${name}/stat`))?.[1];
      if (parent) parents.set(Number(name), Number(parent));
    }
    for (const pid of parents.keys()) {
      if (!descends(pid, parents)) continue;
      const before = seen.get(pid);
      const cmdline = read(`/proc/${pid}/cmdline`);
      const environ = read(`/proc/${pid}/environ`);
      seen.set(pid, {
        cmdline: before?.cmdline.includes(cmdline) ? before.cmdline : `${before?.cmdline ?? ''}\n${cmdline}`,
        environ: before?.environ || environ,
      });
    }
  };
  const timer = setInterval(look, 5);
  look();
  return { seen, stop: () => clearInterval(timer) };
}

function descends(pid: number, parents: ReadonlyMap<number, number>): boolean {
  for (let at = parents.get(pid), steps = 0; at !== undefined && steps < 50; at = parents.get(at), steps++) {
    if (at === process.pid) return true;
  }
  return false;
}

/** The most memory that a process has had so far. Bytes. */
export function peakMemory(pid: number | undefined): number {
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}
