import { AppError, hasCode } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import type { WhoamiServer } from '../../server/server.ts';
import { httpTrusting } from '../certificates.ts';
import type { Command } from '../command.ts';
import type { Context, ExitCode } from '../context.ts';
import { awaitFirstMessage, mayCarryMessages } from '../first-message.ts';
import { createLiveLog, type LiveLog } from '../live-log.ts';
import { announce, announceVerification, endpointOf, ownAddress } from '../serve/announce.ts';
import { warnOfOpenFiles } from '../serve/open-files.ts';
import { openParts, type Parts } from '../serve/parts.ts';
import { createReload } from '../serve/reload.ts';
import { readServeSettings, type ServeSettings, serveOptions } from '../serve/settings.ts';
import { warnOfValidity } from '../server-certificate.ts';
import type { Given } from '../settings/resolve.ts';

/** How long a copy that found its port taken waits for a client to speak. Milliseconds. */
const patienceMs = 10_000;
/** Metadata that turns out to be unfit this soon after the start ends the command. Milliseconds. */
const earlyMs = 5_000;

export const command: Command = {
  positionals: [],
  about: [
    'Runs the protected whoami server: HTTP+SSE at /sse, Streamable HTTP at /mcp, metadata under /.well-known/.',
    'Without --issuer a built-in demo authorization server runs beside it. Started by an MCP client, it is the',
    'bridge to itself as well.',
  ].join('\n'),
  options: serveOptions,
  async run(context, given) {
    const settings = await readServeSettings(context, given);
    const log = createLiveLog(context.log, settings.logLevel, settings.logFormat);
    const http = await httpTrusting(context, settings.ca);
    let parts: Parts;
    try {
      parts = await openParts(context, settings, http, log);
    } catch (error) {
      return beSecondCopy(context, given, settings.server, error);
    }
    return live(context, given, settings, parts, log);
  },
};

async function live(
  context: Context,
  given: Given,
  settings: ServeSettings,
  parts: Parts,
  log: LiveLog,
): Promise<ExitCode> {
  const { server, demoIssuer } = parts;
  const address = ownAddress(settings.server, server.port);
  announce(log, settings.server, parts, address);
  warnOfOpenFiles(settings.server, log);
  if (settings.server.tls) warnOfValidity(settings.server.tls, log, context.now());
  const read = () => readServeSettings(context, given);
  const reload = createReload({ server, log, started: settings, demoIssuer, read, now: context.now });
  const ended = endOf(context, server, reload, log);
  for (const issuer of server.issuers) void announceVerification(issuer, server.issuers.length, log);
  const early = failsEarly(server);
  const spoken = mayCarryMessages(context.stdin)
    ? awaitFirstMessage(context.stdin, ended.begun)
    : never<false>();
  const first = await Promise.race([
    ended.done.then((code) => ({ code })),
    early.then((error) => ({ error })),
    spoken.then((message) => (message ? { message } : never<never>())),
  ]);
  try {
    if ('error' in first) throw first.error;
    if ('code' in first) return first.code;
    context.signals.giveBack();
    return await beBridge(context, given, new URL(address + endpointOf(settings.server)));
  } finally {
    await parts.close();
  }
}

/**
 * SIGTERM drains after the delay, SIGINT without it; both end with 0. SIGHUP is a terminal that has gone, or, where
 * there is none, the wish that the configuration be read again.
 */
function endOf(context: Context, server: WhoamiServer, reload: () => Promise<void>, log: Log) {
  const begun = new AbortController();
  const lasting = context.stdin.isTTY ? [] : (['SIGHUP'] as const);
  const done = new Promise<ExitCode>((resolve, reject) => {
    context.signals.takeOver((signal) => {
      if (signal === 'SIGHUP' && !context.stdin.isTTY) {
        if (!begun.signal.aborted) void reload();
        return;
      }
      begun.abort();
      if (signal === 'SIGHUP') return resolve(129);
      log.info(`${signal}: finishing the calls in flight`);
      server.drain({ delay: signal === 'SIGTERM' }).then(() => resolve(0), reject);
    }, lasting);
  });
  return { begun: begun.signal, done };
}

/** The reason why the server is unfit, when it is known soon after the start; otherwise never. */
function failsEarly(server: WhoamiServer): Promise<unknown> {
  const late = new Promise<'late'>((resolve) => setTimeout(resolve, earlyMs, 'late').unref());
  return new Promise((resolve) => {
    server.ready.catch(async (error: unknown) => {
      const first = await Promise.race([late, Promise.resolve('early')]);
      if (first === 'early') resolve(error);
    });
  });
}

/** Port taken: the other copy that a client started a second ago may be serving; then we are its bridge. */
async function beSecondCopy(
  context: Context,
  given: Given,
  settings: ServerSettings,
  error: unknown,
): Promise<ExitCode> {
  const taken = error instanceof AppError && hasCode(error.cause, 'EADDRINUSE');
  if (!taken || error.code !== 'port_taken' || !mayCarryMessages(context.stdin)) throw error;
  if (!(await speaksSoon(context))) throw error;
  return beBridge(context, given, new URL(ownAddress(settings, settings.port) + endpointOf(settings)));
}

/** Whether a client speaks in time, and before a signal comes. */
async function speaksSoon(context: Context): Promise<boolean> {
  const patience = new AbortController();
  const giveUp = () => patience.abort();
  // Not `AbortSignal.any` with `AbortSignal.timeout`: nothing holds that one, and once collected it never fires.
  const timer = setTimeout(giveUp, patienceMs);
  context.signals.aborted.addEventListener('abort', giveUp, { once: true });
  if (context.signals.aborted.aborted) giveUp();
  try {
    return await awaitFirstMessage(context.stdin, patience.signal);
  } finally {
    clearTimeout(timer);
    context.signals.aborted.removeEventListener('abort', giveUp);
  }
}

async function beBridge(context: Context, given: Given, server: URL): Promise<ExitCode> {
  const { runBridge } = await import('../run-bridge.ts');
  const kept = ['profile', 'log-level', 'login', 'store', 'ca'];
  const flags = new Map([...given.flags].filter(([name]) => kept.includes(name)));
  return runBridge(context, { positionals: [], flags }, server);
}

const never = <T>(): Promise<T> => new Promise<T>(() => {});
