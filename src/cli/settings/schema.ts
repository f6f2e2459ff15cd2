import { loginOption, remoteOptions, signInOptions, storeOptions } from './client.ts';
import { commonOptions } from './common.ts';
import { issuerOptions } from './issuers.ts';
import type { JsonSchema } from './option.ts';
import type { OptionTable } from './resolve.ts';
import { serverOptions } from './server.ts';

const clientTables = [commonOptions, remoteOptions, signInOptions, loginOption, storeOptions];

/**
 * The JSON schema (draft 7, which editors know) of `config.json`, made of the tables that read it. `config.schema.json`
 * is this, and a test holds it to it.
 */
export function configSchema(): JsonSchema {
  const client = Object.assign({}, ...clientTables.map((table) => membersOf(table))) as Record<
    string,
    JsonSchema
  >;
  const { profile, ...ofServer } = client;
  const ofEveryServer = Object.assign({}, ...clientTables.map((table) => membersOf(table, true)));
  const server = { ...membersOf(serverOptions), ...membersOf({ logLevel: commonOptions.logLevel }) };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of mcp-whoami',
    ...object({
      $schema: { type: 'string' },
      ...ofEveryServer,
      defaultServer: {
        type: 'string',
        format: 'uri',
        description: 'the server of commands that name none; written by login and use',
      },
      servers: {
        type: 'array',
        description: 'what login was told about each server; never a secret',
        items: {
          ...object({ url: { type: 'string', format: 'uri' }, ...(profile ? { profile } : {}), ...ofServer }),
          required: ['url'],
        },
      },
      serve: { description: 'settings of mcp-whoami serve', ...object({ ...server, issuers }) },
    }),
  };
}

const issuers: JsonSchema = {
  type: 'array',
  description: 'the authorization servers, each with its rules',
  items: {
    ...object({
      issuer: { type: 'string', format: 'uri', description: 'its issuer identifier' },
      ...membersOf(issuerOptions),
      credentials: {
        type: 'string',
        pattern: '^[A-Z0-9_]{1,64}$',
        description: 'the end of the names of the variables that hold its introspection client',
      },
    }),
    required: ['issuer'],
  },
};

function object(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: 'object', properties, additionalProperties: false };
}

/** What each member of the file may hold, with the help as its description. In: `top`, where it is for every server. */
function membersOf(table: OptionTable, top = false): Record<string, JsonSchema> {
  const entries = Object.values(table).flatMap(({ member, help, json, ofOneServer }) =>
    member && !(top && ofOneServer)
      ? [[member, { ...(json ?? { type: 'string' }), description: help }] as const]
      : [],
  );
  return Object.fromEntries(entries);
}
