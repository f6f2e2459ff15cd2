import type { Context, ExitCode } from './context.ts';
import type { Given, OptionTable } from './settings/resolve.ts';

/** What each file in `commands/` exports as `command`. */
export interface Command {
  /** The arguments after the name, for the usage line: `[URL]`. */
  readonly positionals: readonly string[];
  /** Paragraphs of the help, below the usage line. */
  readonly about: string;
  readonly options: OptionTable;
  run(context: Context, given: Given): Promise<ExitCode>;
}
