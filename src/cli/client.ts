import { resolve as resolvePath } from 'node:path';
import { AppError } from '../lib/errors.ts';
import type { HttpClient } from '../lib/http.ts';
import type { JsonObject } from '../lib/json.ts';
import type { Log } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { RemoteSettings, SignInSettings } from '../lib/settings.ts';
import { secureUrl } from '../lib/url.ts';
import type { StoreKind } from '../vault/vault.ts';
import { type AuthorityFile, httpTrusting } from './certificates.ts';
import { type ConfigFile, openConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import type { GivenToken } from './given-token.ts';
import { expandHeaders } from './headers.ts';
import { remoteOptions, serverOption, signInOptions, storeOptions } from './settings/client.ts';
import { commonOptions } from './settings/common.ts';
import { type Option, readWebUrl } from './settings/option.ts';
import {
  type Given,
  type Levels,
  type OptionTable,
  resolve,
  textsOf,
  type Values,
} from './settings/resolve.ts';
import { warnOfUnread } from './unread-settings.ts';

/** Read once the server is known: what the file remembers of it counts. */
const howOptions = { ...commonOptions, ...remoteOptions, ...signInOptions, ...storeOptions };

/** The options of every command that deals with a remote server. */
export const clientOptions = { ...serverOption, ...howOptions };

const fallbackServer = 'http://localhost:3001/sse';

/** The client side of the product, set up for one server and profile: what the commands share. */
export interface Client {
  readonly server: URL;
  readonly profile: string;
  readonly config: ConfigFile;
  readonly log: Log;
  /** Trusts what the settings name. */
  readonly http: HttpClient;
  readonly remote: RemoteSettings;
  readonly signIn: SignInSettings;
  readonly store: StoreKind | undefined;
  readonly passphrase: Secret | undefined;
  /** An access token, or where one comes from, without a sign-in. */
  readonly token: GivenToken | undefined;
  /** Reads the further options of one command by the same precedence. */
  resolve<T extends OptionTable>(table: T): Values<T>;
}

export interface ClientWants {
  /** The server to talk to when the command line does not say; default: the positional URL. */
  readonly server?: URL | undefined;
  readonly profile?: string | undefined;
  /**
   * False: nothing that matters is sent to the server, so that neither plain http to another machine nor a wanting
   * `--ca` is a reason to stop.
   */
  readonly sends?: boolean;
}

/**
 * Settles which server, which account and how, by flag, variable, configuration file and default.
 *
 * Throws AppError `usage`.
 */
export async function setUpClient(context: Context, given: Given, wants: ClientWants = {}): Promise<Client> {
  const config = await openConfigFile(context.configDir);
  const { environment } = context;
  const levels = (files: Levels['files']): Levels => ({ flags: given.flags, environment, files });
  const top = { name: config.path, members: config.global, top: true };

  const { profile: named, logLevel } = resolve(commonOptions, levels([top]));
  const profile = wants.profile ?? named ?? 'default';
  const [typed] = given.positionals;
  const server =
    wants.server ??
    (typed === undefined
      ? (resolve(serverOption, levels([top])).server ?? new URL(fallbackServer))
      : readWebUrl(typed, 'the server URL'));

  const remembered = { name: config.path, members: config.remembered(server.href, profile) };
  const resolveHere = <T extends OptionTable>(table: T) => resolve(table, levels([remembered, top]));
  const values = resolveHere(howOptions);
  if (wants.sends !== false) refuseInsecure(server, values.allowHttp ?? []);
  const { headers, bearer } = expandHeaders(values.header ?? [], environment);
  const log = context.log(logLevel ?? 'info');
  if (wants.server === undefined) await warnOfUnread(config, log);
  const http = await (wants.sends === false
    ? httpIfCan(context, values.ca, log)
    : httpTrusting(context, values.ca));

  return {
    server,
    profile,
    config,
    log,
    http,
    remote: Object.freeze({
      server,
      profile,
      transport: values.transport ?? 'auto',
      headers,
      timeoutMs: values.timeout ?? 300_000,
      maxMessageBytes: (values.maxMessage ?? 64) * 1024 * 1024,
    }),
    signIn: Object.freeze({
      server,
      profile,
      clientId: values.clientId,
      clientSecret: values.clientSecret,
      clientKey: values.clientKey === undefined ? undefined : resolvePath(values.clientKey),
      clientCredentials: values.clientCredentials ?? false,
      scope: values.scope,
      resource: values.resource,
      authParams: Object.freeze(Object.fromEntries(values.authParam ?? [])),
      metadata: values.metadata,
      redirectHost: values.redirectHost ?? '127.0.0.1',
      redirectPort: values.redirectPort,
      assumePkce: values.assumePkce ?? false,
      switchAccount: given.flags.has('switch-account'),
      allowHttp: values.allowHttp ?? [],
      allowPrivateNetwork: values.allowPrivateNetwork ?? false,
    }),
    store: values.store,
    passphrase: values.passphrase,
    token: bearer ?? givenToken(values, given),
    resolve: resolveHere,
  };
}

/** A flag counts more than a variable, and that more than the file. */
function givenToken(
  { token, tokenCommand: command }: Values<typeof remoteOptions>,
  { flags }: Given,
): GivenToken | undefined {
  if (command !== undefined && flags.has('token-command')) return { command, from: '--token-command' };
  if (token) return { value: token, from: 'MCP_WHOAMI_TOKEN' };
  return command === undefined ? undefined : { command, from: '"tokenCommand" in config.json' };
}

/** What `login` remembers of a server: what it was told, in the configuration file's own form. No secrets. */
export function toRemember(client: Client, context: Context, given: Given): JsonObject {
  const { flags } = given;
  const known = { ...remoteOptions, ...signInOptions };
  const before = client.config.remembered(client.server.href, client.profile);
  const members: Record<string, unknown> = { ...before };
  for (const option of Object.values(known)) {
    const { member } = option;
    const told = member ? (textsOf(option, flags, context.environment)?.texts ?? []) : [];
    const kept = told.flatMap((text) => rememberable(member, text));
    if (member && kept.length > 0) members[member] = option.repeatable ? kept : asInFile(option, kept);
  }
  return members;
}

/** Numbers and truth values as what they are: the file is for people, too, and has a schema. */
function asInFile(option: Option<unknown>, texts: readonly string[]): unknown {
  const text = texts.at(-1);
  switch (option.json?.type) {
    case 'boolean':
      return option.read(texts, '');
    case 'integer':
    case 'number':
      return Number(text);
    default:
      return text;
  }
}

/** A header's own text may be a secret: only what names a variable is kept. A file is found from any folder. */
function rememberable(member: string | undefined, text: string): string[] {
  if (member === 'header') return /\$\{\w+\}/.test(text) ? [text] : [];
  if (member === 'ca' || member === 'clientKey' || (member === 'metadata' && !/^https?:/i.test(text))) {
    return [resolvePath(text)];
  }
  return [text];
}

async function httpIfCan(
  context: Context,
  files: readonly AuthorityFile[] | undefined,
  log: Log,
): Promise<HttpClient> {
  try {
    return await httpTrusting(context, files);
  } catch (error) {
    log.warn('certificate authorities are left out', { reason: error });
    return context.http;
  }
}

function refuseInsecure(server: URL, allowHttp: readonly string[]): void {
  try {
    secureUrl(server.href, 'the server URL', { allowHttp });
  } catch (error) {
    if (error instanceof AppError) throw new AppError('usage', error.message, { hint: error.hint });
    throw error;
  }
}
