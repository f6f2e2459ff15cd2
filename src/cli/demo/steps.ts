import type { Context } from '../context.ts';

export interface Step {
  readonly name: string;
  readonly ok: boolean;
  readonly ms: number;
}

/** The hops of the demo: each is run, timed and told in one line on standard error, and kept for `--json`. */
export interface Steps {
  readonly done: readonly Step[];
  /** In: what is proven, and the work, which gives back what to say of it. Rethrows what the work throws. */
  run<T>(name: string, work: () => Promise<{ value: T; say: string }>): Promise<T>;
}

export function createSteps(context: Context): Steps {
  const done: Step[] = [];
  return {
    done,
    async run(name, work) {
      const start = performance.now();
      const passed = () => Math.round(performance.now() - start);
      try {
        const { value, say } = await work();
        done.push({ name, ok: true, ms: passed() });
        context.say(`  ✓ ${name.padEnd(22)} ${say}`);
        return value;
      } catch (error) {
        done.push({ name, ok: false, ms: passed() });
        context.say(`  ✗ ${name}`);
        throw error;
      }
    },
  };
}
