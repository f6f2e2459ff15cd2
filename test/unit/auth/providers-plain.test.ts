import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { refusedBy } from '../../../src/auth/redirect/redirect.ts';
import { openDemoProvider } from '../../../src/idp/provider.ts';
import { visitAsDemoUser } from '../../../src/idp/visitor.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { Secret } from '../../../src/lib/secret.ts';
import type { Emulator } from '../../support/providers/emulator.ts';
import * as providers from '../../support/providers/quirks.ts';
import { useProvider } from './support/provider.ts';
import { refusal } from './support/world.ts';

const { world, begin, login, failure, stored, claims, renew } = useProvider();

describe('GitHub', () => {
  const github = async (emulator: Emulator) => {
    const file = join(world().configDir, 'github.json');
    await writeFile(file, JSON.stringify(emulator.metadata));
    return { clientId: 'given', metadata: file };
  };

  it('has no metadata: the error names --metadata', async () => {
    await begin(providers.github, []);
    const error = await failure({ clientId: 'given' });
    expect(error.code).toBe('metadata_invalid');
    expect(error.hint).toContain('--metadata');
  });

  it('reports a wrong secret with status 200: the error names MCP_WHOAMI_CLIENT_SECRET', async () => {
    const emulator = await begin(providers.github, []);
    const error = await failure({ ...(await github(emulator)), clientSecret: new Secret('wrong') });
    expect(error.code).toBe('sign_in_failed');
    expect(error.hint).toContain('MCP_WHOAMI_CLIENT_SECRET');
  });

  it('with the metadata in a file: JSON is asked for, the token does not end', async () => {
    const emulator = await begin(providers.github, []);
    const edges = world().process();
    const settings = { ...(await github(emulator)), clientSecret: new Secret('github-secret') };
    expect(await world().login(edges, {}, settings)).toMatchObject({ expiresAt: undefined });
    // A token without an end needs no renewal: nobody is told to ask for a refresh token.
    expect(edges.lines.join()).not.toContain('refresh token');
    expect((await stored())?.refreshToken).toBeUndefined();
  });
});

describe('a server without OpenID', () => {
  it('RFC 8414 only: registers, a token bound to the resource, renewed', async () => {
    const emulator = await begin(providers.rfc8414Only, ['whoami:read']);
    expect(await login()).toMatchObject({ issuer: emulator.issuer, scopes: ['whoami:read'] });
    expect(await claims()).toMatchObject({ aud: world().resource.url.href });
    await renew();
  });

  it('MCP 2025-03-26: the default endpoints of its own origin', async () => {
    const emulator = await begin(providers.mcp20250326);
    world().settings = { ...world().settings, server: new URL('/mcp', emulator.origin) };
    expect(await login()).toMatchObject({ issuer: emulator.origin });
    await renew();
  });
});

it('a provider that reads client id metadata documents takes the one of docs/providers', async () => {
  const clientId = 'https://example.com/mcp-whoami.json';
  const stateDir = join(world().configDir, 'idp');
  const document = JSON.parse(await readFile('docs/providers/client.json', 'utf8')) as Record<
    string,
    unknown
  >;
  const provider = await openDemoProvider({
    host: '127.0.0.1',
    port: 0,
    stateDir,
    resources: () => [world().resource.url.href],
    log: silentLog,
    clientDocuments: { [clientId]: document },
  });
  try {
    world().resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [provider.issuer] });
    const edges = world().process();
    edges.browse = (url) => visitAsDemoUser(url, 'alice');
    expect(await world().login(edges, {}, { clientId })).toMatchObject({ clientId, subject: 'alice' });
    expect(edges.lines.join()).not.toContain('client id metadata documents');
  } finally {
    await provider.close();
  }
});

it('a provider that says nothing of such documents: said before it refuses', async () => {
  await begin(providers.keycloak());
  const edges = world().process();
  await refusal(
    world().login(edges, { timeoutMs: 500 }, { clientId: 'https://example.com/mcp-whoami.json' }),
  );
  expect(edges.lines.join()).toContain('does not say that it reads client id metadata documents');
});

it('invalid_target on the redirect: the error names --resource none', async () => {
  await begin({ ...providers.keycloak(), resource: 'refused on the redirect' });
  const error = await failure();
  expect(error.code).toBe('invalid_target');
  expect(error.hint).toContain('--resource none');
  expect(await login({ resource: 'none' })).toMatchObject({ subject: 'carol' });
});

it.each([
  ['invalid_request', 'AADSTS9010010: The resource parameter does not match the scopes.', '--resource none'],
  [
    'invalid_request',
    'AADSTS7000218: client_assertion or client_secret is needed.',
    'MCP_WHOAMI_CLIENT_SECRET',
  ],
  ['redirect_uri_mismatch', 'The redirect_uri is not associated with this application.', '--redirect-port'],
  ['invalid_scope', 'Unknown scope.', '--scope'],
  ['unauthorized_client', 'Grant type not allowed.', '--client-id'],
])('%s (%s): the error names %s', (error, description, flag) => {
  const refused = refusedBy('https://auth.example', error, description, 'https://mcp.example/mcp');
  expect(refused.hint).toContain(flag);
  expect(refused.message).toContain(description);
});
