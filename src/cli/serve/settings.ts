import { AppError } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { LogLevel } from '../../lib/log.ts';
import type { IssuerRules, ServerSettings } from '../../lib/settings.ts';
import { display, nearest } from '../../lib/text.ts';
import type { AuthorityFile } from '../certificates.ts';
import { type ConfigFile, openConfigFile } from '../config-file.ts';
import type { Context } from '../context.ts';
import type { LogFormat } from '../live-log.ts';
import { readServerCertificate } from '../server-certificate.ts';
import { loginOption, storeOptions } from '../settings/client.ts';
import { commonOptions } from '../settings/common.ts';
import { issuerRules, issuerSettings } from '../settings/issuers.ts';
import { toggle } from '../settings/option.ts';
import { type Given, type Levels, resolve } from '../settings/resolve.ts';
import { serverOptions, serverSettings } from '../settings/server.ts';

export const serveOptions = {
  ...commonOptions,
  ...serverOptions,
  ...loginOption,
  ...storeOptions,
  stdio: toggle({ flag: 'stdio', help: 'be the stdio bridge instead, for clients that registered serve' }),
};

/** The demo authorization server that runs beside the server. */
export interface Demo {
  readonly rules: IssuerRules;
  readonly port: number;
}

/** All that `serve` is told, by flags, variables and the configuration file as they are now. */
export interface ServeSettings {
  /** With the demo authorization server: without an issuer. */
  readonly server: ServerSettings;
  readonly demo: Demo | undefined;
  readonly ca: readonly AuthorityFile[] | undefined;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** Reads them. Throws AppError `usage` for what cannot be understood, or does not go together. */
export async function readServeSettings(context: Context, given: Given): Promise<ServeSettings> {
  const config = await openConfigFile(context.configDir);
  assertKnown(config);
  const levels = levelsOf(context, given, config);
  const values = resolve(serveOptions, levels);
  const issuers = issuerSettings(levels, values.issuer, config.serve.issuers);
  const certificate = await readServerCertificate(values.tlsCert, values.tlsKey);
  const server = serverSettings(values, issuers, context.stdin.isTTY === true, certificate);
  const isDemo = issuers.length === 0 && !server.noAuth;
  const port = values.idpPort ?? (server.port === 0 ? 0 : server.port + 1);
  return {
    server,
    demo: isDemo ? { rules: issuerRules(values), port } : undefined,
    ca: values.ca,
    logLevel: values.logLevel ?? 'info',
    logFormat: values.logFormat ?? 'text',
  };
}

function levelsOf(context: Context, given: Given, config: ConfigFile): Levels {
  const files = [
    { name: `${config.path}: serve`, members: config.serve },
    { name: config.path, members: { ...config.global, profile: undefined } },
  ].map(({ name, members }) => ({ name, members: withoutUndefined(members) }));
  return { flags: given.flags, environment: context.environment, files };
}

/** A setting that is misspelt decides nothing, and nobody would notice who is let in by it. */
function assertKnown({ path, serve }: ConfigFile): void {
  const options = [...Object.values(serverOptions), commonOptions.logLevel];
  const known = [...options.flatMap(({ member }) => member ?? []), 'issuers'];
  const stranger = Object.keys(serve).find((name) => !known.includes(name));
  if (stranger === undefined) return;
  const near = nearest(stranger, known);
  throw new AppError('usage', `${path}: serve: there is no setting "${display(stranger, 80)}"`, {
    hint: near ? `did you mean "${near}"?` : 'mcp-whoami serve --help lists them',
  });
}

const withoutUndefined = (members: JsonObject) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
