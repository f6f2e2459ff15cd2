import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { expect, test } from 'vitest';
import { type Client, clientOptions, toRemember } from '../../../src/cli/client.ts';
import type { Context } from '../../../src/cli/context.ts';
import { remoteOptions } from '../../../src/cli/settings/client.ts';
import { type Levels, readArguments, resolve } from '../../../src/cli/settings/resolve.ts';
import { configSchema } from '../../../src/cli/settings/schema.ts';
import { threat } from '../../support/threats.ts';

test('what login was told is kept in the forms of the schema, and no literal header', () => {
  const server = new URL('https://mcp.example.com/mcp');
  const client = { server, profile: 'default', config: { remembered: () => ({}) } } as unknown as Client;
  const given = readArguments(
    [
      '--client-id=one',
      '--redirect-port=8765',
      '--assume-pkce',
      '--timeout=1.5',
      '--auth-param=audience=x',
      '--header=X-Secret: s3cret',
      '--header=X-Team: ${TEAM}',
      '--resource=none',
    ],
    clientOptions,
    1,
  );
  const context = { environment: { MCP_WHOAMI_MAX_MESSAGE: '8' } } as unknown as Context;
  const members = toRemember(client, context, given);
  expect(members).toEqual({
    clientId: 'one',
    redirectPort: 8765,
    assumePkce: true,
    timeout: 1.5,
    maxMessage: 8,
    authParam: ['audience=x'],
    header: ['X-Team: ${TEAM}'],
    resource: 'none',
  });
  const ajv = new Ajv({ allowUnionTypes: true });
  formats.default(ajv);
  expect(ajv.validate(configSchema(), { servers: [{ url: server.href, ...members }] })).toBe(true);
});

test.each([
  ['tokenCommand', 'print-a-token'],
  ['header', ['X-Api-Key: ${KEY}']],
])(
  threat('C22', '%s counts for the server beside it in config.json, and is refused for all of them'),
  (name, value) => {
    const values = (files: Levels['files']) =>
      resolve(remoteOptions, { flags: new Map(), environment: {}, files }) as Record<string, unknown>;
    const members = { [name]: value };
    expect(values([{ name: 'config.json', members }])[name]).toBeDefined();
    expect(() => values([{ name: 'config.json', members, top: true }])).toThrow('would go to every server');
    const ajv = new Ajv({ allowUnionTypes: true });
    formats.default(ajv);
    expect(
      ajv.validate(configSchema(), { servers: [{ url: 'https://mcp.example.com/mcp', ...members }] }),
    ).toBe(true);
    expect(ajv.validate(configSchema(), members)).toBe(false);
  },
);
