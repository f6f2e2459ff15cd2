import { Ajv } from 'ajv';
import formats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { configSchema } from '../../../src/cli/settings/schema.ts';

// After a change of the settings: npx vitest run --project unit test/unit/house/config-schema.test.ts -u
test('config.schema.json is what the tables of the settings say', async () => {
  await expect(`${JSON.stringify(configSchema(), undefined, 2)}\n`).toMatchFileSnapshot(
    '../../../config.schema.json',
  );
});

describe('what an editor says by it', () => {
  const ajv = new Ajv({ allowUnionTypes: true });
  formats.default(ajv);
  const validate = ajv.compile(configSchema());

  test.each<[string, unknown]>([
    ['nothing', {}],
    [
      'a client',
      {
        $schema: './node_modules/mcp-whoami/config.schema.json',
        defaultServer: 'https://mcp.example.com/mcp',
        logLevel: 'debug',
        timeout: 1.5,
        servers: [
          {
            url: 'https://mcp.example.com/mcp',
            profile: 'work',
            clientId: 'one',
            authParam: { audience: 'x' },
          },
        ],
      },
    ],
    [
      'a server',
      {
        serve: {
          port: 3001,
          stale: 0,
          allow: { groups: ['staff', 'admin'] },
          claims: ['email'],
          trustProxy: 'loopback',
          noAuth: false,
          issuers: [
            { issuer: 'https://auth.example.com/oidc', verify: 'jwt', allow: ['email_verified=true'] },
          ],
        },
      },
    ],
  ])('%s is fine', (_what, config) => {
    expect(validate(config), JSON.stringify(validate.errors)).toBe(true);
  });

  test.each<[string, unknown]>([
    ['a setting that is misspelt', { serve: { alow: ['a=b'] } }],
    ['a port that is none', { serve: { port: 70_000 } }],
    ['a word of no list', { serve: { verify: 'jwd' } }],
    ['a server without an address', { servers: [{ clientId: 'one' }] }],
    ['an issuer without its name', { serve: { issuers: [{ verify: 'jwt' }] } }],
    ['a truth value as text', { serve: { noAuth: 'yes' } }],
    ['a secret', { clientSecret: 'x' }],
  ])('%s is marked', (_what, config) => {
    expect(validate(config)).toBe(false);
  });
});
