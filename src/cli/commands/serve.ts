import { join } from 'node:path';
import { AppError, hasCode } from '../../lib/errors.ts';
import type { HttpClient } from '../../lib/http.ts';
import type { Log } from '../../lib/log.ts';
import type { IssuerRules, ServerSettings } from '../../lib/settings.ts';
import type { SigningKey } from '../../lib/signing-key.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import type { IssuerReport, WhoamiServer } from '../../server/server.ts';
import { httpTrusting } from '../certificates.ts';
import type { Command } from '../command.ts';
import { openConfigFile } from '../config-file.ts';
import type { Context, ExitCode } from '../context.ts';
import { awaitFirstMessage, mayCarryMessages } from '../first-message.ts';
import { loginOption, storeOptions } from '../settings/client.ts';
import { commonOptions } from '../settings/common.ts';
import { issuerRules, issuerSettings } from '../settings/issuers.ts';
import { toggle } from '../settings/option.ts';
import { type Given, resolve } from '../settings/resolve.ts';
import { serverOptions, serverSettings } from '../settings/server.ts';

/** How long a copy that found its port taken waits for a client to speak. Milliseconds. */
const patienceMs = 10_000;
/** Metadata that turns out to be unfit this soon after the start ends the command. Milliseconds. */
const earlyMs = 5_000;

const options = {
  ...commonOptions,
  ...serverOptions,
  ...loginOption,
  ...storeOptions,
  stdio: toggle({ flag: 'stdio', help: 'be the stdio bridge instead, for clients that registered serve' }),
};

export const command: Command = {
  positionals: [],
  about: [
    'Runs the protected whoami server: HTTP+SSE at /sse, Streamable HTTP at /mcp, metadata under /.well-known/.',
    'Without --issuer a built-in demo authorization server runs beside it. Started by an MCP client, it is the',
    'bridge to itself as well.',
  ].join('\n'),
  options,
  async run(context, given) {
    const config = await openConfigFile(context.configDir);
    const files = [
      { name: `${config.path}: serve`, members: config.serve },
      { name: config.path, members: { ...config.global, profile: undefined } },
    ].map(({ name, members }) => ({ name, members: dropUndefined(members) }));
    const levels = { flags: given.flags, environment: context.environment, files };
    const values = resolve(options, levels);
    const issuers = issuerSettings(levels, values.issuer, config.serve.issuers);
    const settings = serverSettings(values, issuers, context.stdin.isTTY === true);
    const log = context.log(values.logLevel ?? 'info', values.logFormat ?? 'text');
    const http = await httpTrusting(context, values.ca);
    const port = values.idpPort ?? (settings.port === 0 ? 0 : settings.port + 1);
    const isDemo = issuers.length === 0 && !settings.noAuth;
    const demo = isDemo ? { rules: issuerRules(values), port } : undefined;
    let parts: Parts;
    try {
      parts = await open(context, settings, demo, http, log);
    } catch (error) {
      return beSecondCopy(context, given, settings, error);
    }
    return live(context, given, settings, parts, log);
  },
};

/** The demo authorization server that is going to run. */
interface Demo {
  readonly rules: IssuerRules;
  readonly port: number;
}

/** The server, and the demo authorization server beside it. */
interface Parts {
  readonly server: WhoamiServer;
  /** The demo authorization server's, where there is one. */
  readonly demoIssuer: string | undefined;
  close(): Promise<void>;
}

async function open(
  context: Context,
  settings: ServerSettings,
  demo: Demo | undefined,
  http: HttpClient,
  log: Log,
): Promise<Parts> {
  const identityKey = settings.upstream && (await loadKey(context));
  if (!demo) {
    const { openWhoamiServer } = await import('../../server/server.ts');
    const server = await openWhoamiServer({ settings, identityKey, http, log });
    return { server, demoIssuer: undefined, close: () => server.close() };
  }
  const { openDemoPair } = await import('../demo-pair.ts');
  const { server, issuer, close } = await openDemoPair({
    settings,
    rules: demo.rules,
    idpPort: demo.port,
    stateDir: join(context.configDir, 'provider'),
    identityKey,
    http,
    log,
  });
  return { server, demoIssuer: issuer, close };
}

/** What signs who calls; replicas that share it sign alike. */
async function loadKey(context: Context): Promise<SigningKey> {
  const { loadIdentityKey } = await import('../../server/upstream/identity.ts');
  return loadIdentityKey(join(context.configDir, 'identity-key.json'));
}

async function live(
  context: Context,
  given: Given,
  settings: ServerSettings,
  parts: Parts,
  log: Log,
): Promise<ExitCode> {
  const { server } = parts;
  const address = `http://${isLoopbackHost(settings.host) ? 'localhost' : settings.host}:${server.port}`;
  announce(log, settings, parts, address);
  const ended = endOf(context, server, log);
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
    return await beBridge(context, given, new URL(address + endpointOf(settings)));
  } finally {
    await parts.close();
  }
}

function announce(log: Log, settings: ServerSettings, parts: Parts, address: string): void {
  const base = settings.publicUrl?.href.replace(/\/$/, '') ?? address;
  const { upstream } = settings;
  if (upstream) {
    log.info(`gate at ${base}/mcp and ${base}/sse, in front of ${upstream.href}`);
    if (upstream.protocol === 'http:' && !isLoopbackHost(upstream.hostname)) {
      log.warn(
        'who calls is told to the server behind the gate over plain http: keep that network to yourself',
      );
    }
  } else log.info(`whoami server at ${base}/sse and ${base}/mcp`);
  if (settings.noAuth) log.warn('no authentication: everybody may call, and nobody is known');
  else if (parts.demoIssuer) {
    log.info(`demo authorization server at ${parts.demoIssuer}: anybody on this machine may be Alice or Bob`);
  }
  for (const { issuer } of settings.issuers) log.info(`authorization server ${issuer}`);
  if (!settings.noAuth) log.info(`sign in with: mcp-whoami login ${base}${endpointOf(settings)}`);
}

async function announceVerification(one: IssuerReport, issuers: number, log: Log): Promise<void> {
  await one.ready.catch(() => never());
  const whose = issuers > 1 ? ` of ${one.issuer}` : '';
  log.info(`access tokens${whose} are verified by ${one.verification()}`);
}

/** SIGTERM drains after the delay, SIGINT without it; both end with 0. SIGHUP only matters to a terminal. */
function endOf(context: Context, server: WhoamiServer, log: Log) {
  const begun = new AbortController();
  const done = new Promise<ExitCode>((resolve, reject) => {
    context.signals.takeOver((signal) => {
      if (signal === 'SIGHUP' && !context.stdin.isTTY) {
        log.info('SIGHUP: the configuration is read at the next start');
        return;
      }
      begun.abort();
      if (signal === 'SIGHUP') return resolve(129);
      log.info(`${signal}: finishing the calls in flight`);
      server.drain({ delay: signal === 'SIGTERM' }).then(() => resolve(0), reject);
    });
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
  return beBridge(context, given, new URL(`http://localhost:${settings.port}${endpointOf(settings)}`));
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
  const kept = ['profile', 'log-level', 'login', 'store'];
  const flags = new Map([...given.flags].filter(([name]) => kept.includes(name)));
  return runBridge(context, { positionals: [], flags }, server);
}

/** Which of the two addresses is named to people: behind a gate mostly the newer transport is spoken. */
const endpointOf = ({ upstream }: ServerSettings) => (upstream ? '/mcp' : '/sse');

const never = <T>(): Promise<T> => new Promise<T>(() => {});

const dropUndefined = (members: object) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
