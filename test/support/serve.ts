import { rm } from 'node:fs/promises';
import { type Running, start } from './command.ts';
import { type Home, makeHome } from './home.ts';

export interface Serving {
  /** `http://localhost:PORT` of the whoami server. */
  readonly origin: string;
  readonly sse: string;
  readonly mcp: string;
  readonly port: number;
  readonly home: Home;
  readonly running: Running;
  stop(): Promise<void>;
}

/** `mcp-whoami serve` on free ports, with a home of its own. */
export async function serve(
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Serving> {
  const home = makeHome();
  const running = start(['serve', '--port', '0', ...args], { env: { ...home.env, ...env } });
  const found = await running.printed(/(?:whoami server|gate) at (http:\/\/localhost:(\d+))\/(?:sse|mcp)/);
  if (!args.includes('--no-auth')) await running.printed(/access tokens are verified by/);
  const origin = found[1] ?? '';
  return {
    origin,
    sse: `${origin}/sse`,
    mcp: `${origin}/mcp`,
    port: Number(found[2]),
    home,
    running,
    async stop() {
      await running.stop('SIGINT');
      await rm(home.path, { recursive: true, force: true });
    },
  };
}
