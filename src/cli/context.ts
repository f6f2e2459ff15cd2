import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import envPaths from 'env-paths';
import { type Environment, type Machine, missingSessionVariables } from '../lib/desktop.ts';
import { hasCode } from '../lib/errors.ts';
import { createHttpClient, type HttpClient } from '../lib/http.ts';
import { createLog, type Log, type LogLevel } from '../lib/log.ts';
import { proxyFrom } from '../lib/proxy.ts';
import { userAgent } from '../lib/version.ts';
import { listenForSignals, type Signals } from './signals.ts';
import { createScreen, type Screen } from './terminal/screen.ts';

/** The edges of the process that a command may touch. Everything else it is handed, or it is a room's. */
export interface Context {
  readonly environment: Environment;
  /** Makes a variable visible to native code: the session bus that a desktop client left out (vault). */
  setEnvironment(name: string, value: string): void;
  readonly platform: NodeJS.Platform;
  readonly stdin: Readable & { readonly isTTY?: boolean; readonly fd?: number };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Standard error for people; `say` and `log` go through it. */
  readonly screen: Screen;
  readonly signals: Signals;
  /** What starts this very program again: the node binary and the script, both absolute. */
  readonly self: { readonly node: string; readonly script: string };
  /** Folder of config.json, the index and the catalogues. */
  readonly configDir: string;
  readonly http: HttpClient;
  now(): number;
  log(level: LogLevel, format?: 'text' | 'json'): Log;
  print(text: string): void;
  say(text: string): void;
}

/** What a command gives back: the process's exit code. */
export type ExitCode = number;

/** Variables that hold secrets: read once, then taken out of what child processes would inherit. */
const secretVariable =
  /^MCP_WHOAMI_(TOKEN|CLIENT_SECRET|PASSPHRASE|REDIS_URL|INTROSPECTION_CLIENT_SECRET(_\w+)?)$/;

export function systemContext(): Context {
  Object.assign(process.env, missingSessionVariables(thisMachine(process.env)));
  const environment = { ...process.env };
  for (const name of Object.keys(process.env)) if (secretVariable.test(name)) delete process.env[name];
  // A reader of our output that went away is the end of the output, not a crash.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', endQuietly);
  const screen = createScreen({ stream: process.stderr, environment, platform: process.platform });
  return {
    environment,
    setEnvironment: (name, value) => {
      environment[name] = value;
      process.env[name] = value;
    },
    platform: process.platform,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    screen,
    signals: listenForSignals(process),
    self: { node: process.execPath, script: resolve(process.argv[1] ?? '') },
    configDir: environment.MCP_WHOAMI_CONFIG_DIR || envPaths('mcp-whoami', { suffix: '' }).config,
    http: createHttpClient({ userAgent, proxy: proxyFrom(environment) }),
    now: Date.now,
    log: (level, format = 'text') => createLog({ level, format, write: screen.write }),
    print: (text) => void process.stdout.write(`${text}\n`),
    say: (text) => screen.write(`${text}\n`),
  };
}

function endQuietly(error: Error): void {
  if (!hasCode(error, 'EPIPE', 'ERR_STREAM_DESTROYED')) throw error;
}

const thisMachine = (environment: Environment): Machine => ({
  platform: process.platform,
  environment,
  uid: process.getuid?.(),
  exists: existsSync,
});
