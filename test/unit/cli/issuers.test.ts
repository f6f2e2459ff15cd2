import { describe, expect, test } from 'vitest';
import { issuerSettings } from '../../../src/cli/settings/issuers.ts';
import { readArguments, resolve } from '../../../src/cli/settings/resolve.ts';
import { serverOptions, serverSettings } from '../../../src/cli/settings/server.ts';
import { AppError } from '../../../src/lib/errors.ts';

interface Told {
  readonly argv?: string[];
  readonly environment?: Record<string, string>;
  /** The part `serve` of the configuration file. */
  readonly serve?: Record<string, unknown>;
}

function settings({ argv = [], environment = {}, serve = {} }: Told) {
  const { flags } = readArguments(argv, serverOptions, 0);
  const levels = { flags, environment, files: [{ name: 'config.json: serve', members: serve }] };
  const values = resolve(serverOptions, levels);
  return serverSettings(values, issuerSettings(levels, values.issuer, serve.issuers), true);
}

function refusal(told: Told): AppError {
  try {
    settings(told);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const [a, b] = ['https://a.example/oidc', 'https://b.example'];
const pair = { MCP_WHOAMI_INTROSPECTION_CLIENT_ID: 'id', MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET: 's3cret' };

describe('which issuers', () => {
  test('by repeated flag, by a variable with commas, by the file', () => {
    const named = (told: Told) => settings(told).issuers.map(({ issuer }) => issuer);
    expect(named({ argv: ['--issuer', a, '--issuer', b] })).toEqual([a, b]);
    expect(named({ environment: { MCP_WHOAMI_ISSUER: `${a}, ${b}` } })).toEqual([a, b]);
    expect(named({ serve: { issuer: a } })).toEqual([a]);
    expect(named({ serve: { issuer: [a, b] } })).toEqual([a, b]);
    expect(named({ serve: { issuers: [{ issuer: a }, { issuer: b }] } })).toEqual([a, b]);
    expect(named({})).toEqual([]);
  });

  test('a flag picks from the file, whose rules for that issuer still hold', () => {
    const issuers = [{ issuer: a }, { issuer: b, verify: 'jwt', audience: 'urn:b' }];
    expect(settings({ argv: ['--issuer', b], serve: { issuers } }).issuers).toMatchObject([
      { issuer: b, verify: 'jwt', audience: 'urn:b' },
    ]);
  });

  test.each<[Told, RegExp]>([
    [{ argv: ['--issuer', a, '--issuer', a] }, /named twice/],
    [{ argv: ['--issuer', 'http://a.example'] }, /plain http to another machine/],
    [{ serve: { issuers: [{ issuer: 'http://a.example' }] } }, /entry 1: "issuer".*plain http/],
    [{ serve: { issuers: { issuer: a } } }, /a list of objects/],
    [{ serve: { issuers: [a] } }, /entry 1 is no object/],
    [{ serve: { issuers: [{ issuer: a }, {}] } }, /entry 2 has no "issuer"/],
  ])('%j is refused', (told, message) => expect(refusal(told).message).toMatch(message));
});

describe('rules of each', () => {
  test('flag, variable, its entry, the part serve, default', () => {
    const serve = {
      audience: 'urn:all',
      requiredScope: 'read',
      issuers: [{ issuer: a, audience: 'urn:a' }, { issuer: b }],
    };
    const audiences = (told: Told) => settings(told).issuers.map(({ audience }) => audience);
    expect(audiences({ serve })).toEqual(['urn:a', 'urn:all']);
    expect(audiences({ serve, environment: { MCP_WHOAMI_AUDIENCE: 'urn:v' } })).toEqual(['urn:v', 'urn:v']);
    expect(audiences({ serve, argv: ['--audience', 'urn:f'] })).toEqual(['urn:f', 'urn:f']);
    expect(settings({ serve }).issuers).toMatchObject([
      { requiredScope: ['read'], verify: 'auto' },
      { requiredScope: ['read'] },
    ]);
  });

  test('--allow: values of one claim are gathered; in the file a list, or an object', () => {
    const wanted = [
      { claim: 'groups', values: ['staff', 'admin=yes'] },
      { claim: 'email_verified', values: ['true'] },
    ];
    const argv = ['--allow', 'groups=staff', '--allow', 'email_verified=true', '--allow', 'groups=admin=yes'];
    expect(settings({ argv: ['--issuer', a, ...argv] }).issuers[0]?.allow).toEqual(wanted);
    const allow = { groups: ['staff', 'admin=yes'], email_verified: true };
    expect(settings({ serve: { issuers: [{ issuer: a, allow }] } }).issuers[0]?.allow).toEqual(wanted);
    expect(settings({ serve: { issuer: a, allow: ['groups=staff'] } }).issuers[0]?.allow).toEqual([
      { claim: 'groups', values: ['staff'] },
    ]);
    for (const wrong of ['groups', '=staff', 'groups=']) {
      expect(refusal({ argv: ['--issuer', a, '--allow', wrong] }).message).toContain("'claim=value'");
    }
    const nested = { issuers: [{ issuer: a, allow: { groups: { x: 1 } } }] };
    expect(refusal({ serve: nested }).message).toMatch(/entry 1: "allow" has a value of the wrong kind/);
  });

  test('--claims: a list with commas', () => {
    expect(settings({ argv: ['--issuer', a, '--claims', 'email, name'] }).claims).toEqual(['email', 'name']);
    expect(settings({ serve: { issuer: a, claims: ['email', 'name'] } }).claims).toEqual(['email', 'name']);
    expect(settings({ argv: ['--issuer', a] }).claims).toBeUndefined();
  });

  test.each<[Record<string, unknown>, RegExp, RegExp]>([
    [{ audiance: 'urn:a' }, /entry 1: there is no setting "audiance"/, /did you mean "audience"/],
    [{ verify: 'jwd' }, /entry 1: "verify": "jwd" is not one of/, /did you mean jwt/],
    [{ verify: 'userinfo', audience: 'urn:a' }, /--audience cannot be checked by userinfo/, /--verify jwt/],
    [{ verify: 'userinfo', requiredScope: 'a' }, /--required-scope cannot be checked/, /--verify jwt/],
    [
      { verify: 'userinfo', allow: { client_id: 'c' } },
      /--allow client_id cannot be checked/,
      /--verify jwt/,
    ],
    [{ userinfoUrl: 'http://u.example' }, /"userinfoUrl".*plain http/, /https/],
    [{ verify: 'introspection' }, /needs a client/, /MCP_WHOAMI_INTROSPECTION_CLIENT_ID/],
    [{ credentials: 'A' }, /wants MCP_WHOAMI_INTROSPECTION_CLIENT_ID_A/, /CLIENT_SECRET_A/],
    [{ credentials: 'a-b' }, /capitals, digits and _/, /^$/],
  ])('%j is refused', (entry, message, hint) => {
    const error = refusal({ serve: { issuers: [{ issuer: a, ...entry }] } });
    expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(message)]);
    expect(error.hint ?? '').toMatch(hint);
  });
});

describe('introspection credentials', () => {
  test('come in pairs, by variable alone, and print as nothing', () => {
    const [one] = settings({ argv: ['--issuer', a], environment: pair }).issuers;
    expect(one?.introspection?.id).toBe('id');
    expect(one?.introspection?.secret.reveal()).toBe('s3cret');
    expect(JSON.stringify(one)).not.toContain('s3cret');
    const { MCP_WHOAMI_INTROSPECTION_CLIENT_ID: _id, ...half } = pair;
    const error = refusal({ argv: ['--issuer', a], environment: half });
    expect(error.message).toMatch(/one half of a pair/);
    expect(error.message + error.hint).not.toContain('s3cret');
  });

  test('of several issuers each names its own: a secret goes to one of them', () => {
    const environment = {
      MCP_WHOAMI_INTROSPECTION_CLIENT_ID_B: 'id-b',
      MCP_WHOAMI_INTROSPECTION_CLIENT_SECRET_B: 'secret-b',
    };
    const issuers = [
      { issuer: a, verify: 'jwt' },
      { issuer: b, credentials: 'B' },
    ];
    const [first, second] = settings({ serve: { issuers }, environment }).issuers;
    expect(first?.introspection).toBeUndefined();
    expect(second?.introspection?.id).toBe('id-b');
    expect(refusal({ argv: ['--issuer', a, '--issuer', b], environment: pair }).message).toMatch(
      /with several issuers .* does not say whose/,
    );
  });

  test('so it is with what belongs to one issuer', () => {
    for (const [flag, value] of [
      ['--metadata', 'https://m.example'],
      ['--userinfo-url', 'https://u.example'],
    ] as const) {
      const error = refusal({ argv: ['--issuer', a, '--issuer', b, flag, value] });
      expect(error.message).toMatch(/is of one issuer, and there are 2/);
    }
  });
});

test('--no-auth goes with nothing that verifies or chooses', () => {
  for (const argv of [
    ['--issuer', a],
    ['--verify', 'jwt'],
    ['--allow', 'a=b'],
    ['--claims', 'a'],
  ]) {
    expect(refusal({ argv: ['--no-auth', ...argv] }).message).toMatch(/--no-auth/);
  }
});
