import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type AuthorizationServer,
  metadataForms,
  readIssuerMetadata,
} from '../../src/auth/discovery/issuer-metadata.ts';
import type { Reach } from '../../src/auth/discovery/reach.ts';
import { type ResourceMetadata, readResourceMetadata } from '../../src/auth/discovery/resource-metadata.ts';
import { AppError } from '../../src/lib/errors.ts';
import type { Answer, HttpClient } from '../../src/lib/http.ts';
import { threat } from '../support/threats.ts';
import { fuzz, mutated, oddText } from './support/fuzz.ts';

const issuer = 'https://as.example/tenant';
const server = new URL('https://mcp.example/a/mcp');

/** Answers every request by the same answer, and counts them. */
function reachOf(answer: Answer): { reach: Reach; asked: string[] } {
  const asked: string[] = [];
  const read: HttpClient['read'] = async (url) => {
    asked.push(url.href);
    return answer;
  };
  const guard = { check: async () => {}, lookup: undefined, lookupServer: undefined };
  const reach = { http: { read }, policy: {}, guard, signal: undefined } as unknown as Reach;
  return { reach, asked };
}

/** A URL that nothing may be sent to, or one that is only nearly right. */
const oddUrl = fc.oneof(
  fc.constantFrom(
    'javascript:alert(1)',
    'file:///etc/passwd',
    'data:text/html,x',
    '//evil.example/x',
    'https://a@as.example/x',
    'https://as.example/#x',
    'http://as.example/x',
    'http://127.0.0.1:9/x',
    'http://localhost.evil.example/',
    'https:as.example',
    'https://as.example\\@evil.example/',
    ' https://as.example/',
    '--flag',
    '',
  ),
  mutated(fc.constantFrom('https://as.example/tenant/token', 'http://[::1]:8080/token')),
  oddText,
);
const oddJson = fc.oneof(
  oddUrl,
  fc.constantFrom<unknown>(null, 0, true, [], {}, [null], { __proto__: null }),
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(
    ...[70, 300].map((depth) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as unknown),
  ),
);

/** The document with some members replaced, taken away, or told by a prototype only; or not even JSON. */
function spoiled(
  honest: Record<string, unknown>,
  instead: fc.Arbitrary<Record<string, unknown>> = fc.constant({}),
): fc.Arbitrary<string> {
  const change = fc.tuple(
    fc.constantFrom(...Object.keys(honest), '__proto__', 'constructor'),
    fc.oneof(fc.constant(undefined), oddJson),
  );
  const document = fc.tuple(instead, fc.array(change, { maxLength: 3 })).map(([more, changes]) => {
    const members = new Map(Object.entries({ ...honest, ...more }));
    for (const [name, value] of changes) members.set(name, value);
    const texts = [...members].filter(([, value]) => value !== undefined);
    return `{${texts.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  });
  return fc.oneof(
    { weight: 5, arbitrary: document },
    { weight: 2, arbitrary: mutated(document) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '[]', 'null', '<!doctype html>', '{'.repeat(5000), '{"a":'.repeat(5000)),
    },
  );
}

const answerOf = (body: fc.Arbitrary<string>): fc.Arbitrary<Answer> =>
  fc.record({
    status: fc.constantFrom(200, 200, 200, 200, 204, 302, 401, 404, 500),
    headers: fc.oneof(
      fc.constant({}),
      oddUrl.map((location) => ({ location })),
      fc.constant({ location: '/elsewhere' }),
    ),
    body,
  });

/** What it came to: never another error than ours, of those that are documented. */
async function outcome<T>(reading: Promise<T>, codes: readonly string[]): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(codes).toContain(error.code);
    expect(error.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e\u200b\ufeff]/);
    return undefined;
  }
}

/** The rule for an address that something may be sent to, written anew. */
function isSafe(text: unknown): boolean {
  if (typeof text !== 'string' || /[\u0000-\u0020\u007f-\u009f]/.test(text) || !URL.canParse(text))
    return false;
  const { protocol, username, password, hash, hostname } = new URL(text);
  const here = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  return username + password + hash === '' && (protocol === 'https:' || (protocol === 'http:' && here));
}

const honestIssuer = {
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  registration_endpoint: `${issuer}/register`,
  revocation_endpoint: `${issuer}/revoke`,
  userinfo_endpoint: `${issuer}/userinfo`,
  scopes_supported: ['openid'],
  code_challenge_methods_supported: ['S256'],
  authorization_response_iss_parameter_supported: true,
};

test(
  threat(['C1', 'C7', 'C16'], 'fuzz: issuer metadata is taken with its very issuer and safe addresses only'),
  async () => {
    const lists = ['scopes_supported', 'code_challenge_methods_supported'] as const;
    await fuzz(
      'issuer metadata',
      fc.asyncProperty(answerOf(spoiled(honestIssuer)), async (answer) => {
        const { reach, asked } = reachOf(answer);
        const found: AuthorizationServer | undefined = await outcome(readIssuerMetadata(reach, issuer), [
          'metadata_invalid',
          'insecure_url',
          'issuer_unreachable',
        ]);
        // Each form, and two redirects of each.
        expect(asked.length).toBeLessThanOrEqual(metadataForms(new URL(issuer)).length * 3);
        expect(asked.filter((url) => !url.startsWith('https://as.example/'))).toEqual([]);
        if (!found) return;
        const said = JSON.parse(answer.body) as Record<string, unknown>;
        expect(answer.status).toBe(200);
        expect(found.issuer).toBe(issuer);
        expect(said.issuer).toBe(issuer);
        for (const [name, value] of Object.entries(found)) {
          if (!name.endsWith('_endpoint')) continue;
          expect(isSafe(value), String(value)).toBe(true);
          expect(Object.hasOwn(said, name) && said[name]).toBe(value);
        }
        for (const name of lists) {
          if (found[name]) expect(found[name].every((one) => typeof one === 'string')).toBe(true);
        }
        expect(found.token_endpoint).toBe(said.token_endpoint);
      }),
      0.5,
    );
  },
);

/** RFC 9728 3.3, written anew: the resource, or a parent of it on whole path segments, of the same origin. */
function mayDescribe(resource: unknown): boolean {
  if (typeof resource !== 'string' || !URL.canParse(resource)) return false;
  const { origin, username, password, hash, search, pathname } = new URL(resource);
  if (origin !== server.origin || username + password + hash + search !== '') return false;
  const segments = pathname.replace(/\/$/, '').split('/');
  return segments.every((one, i) => one === server.pathname.split('/')[i]);
}

const honestResource = {
  resource: server.href,
  authorization_servers: [issuer],
  scopes_supported: ['openid', 'profile'],
};

test(
  threat(
    ['C2', 'C16', 'C18'],
    'fuzz: resource metadata is taken for this resource only, with scopes that are some',
  ),
  async () => {
    const nearly = fc.constantFrom(
      server.href,
      'https://mcp.example',
      'https://mcp.example/a',
      'https://mcp.example/a/mcp/',
      'https://mcp.example/a/mc',
      'https://mcp.example/a/mcp/more',
      'https://MCP.example:443/a/mcp',
      'https://mcp.example.evil.example/a/mcp',
      'https://mcp.example/a/mcp?x',
      'https://mcp.example/a/../a/mcp',
      'https://mcp.example@evil.example/a/mcp',
    );
    const document = spoiled(
      honestResource,
      nearly.map((resource) => ({ resource })),
    );
    const place = fc.option(fc.oneof(oddUrl, fc.constant('https://mcp.example/prm')), { nil: undefined });
    await fuzz(
      'resource metadata',
      fc.asyncProperty(answerOf(document), place, async (answer, challenge) => {
        const { reach, asked } = reachOf(answer);
        const found: ResourceMetadata | undefined = await outcome(
          readResourceMetadata(reach, server, challenge),
          ['metadata_invalid', 'insecure_url', 'server_unreachable'],
        );
        expect(asked.length).toBeLessThanOrEqual(9);
        for (const url of asked) expect(isSafe(url)).toBe(true);
        if (!found) return;
        expect(mayDescribe(found.resource), found.resource).toBe(true);
        expect(found.issuers.length).toBeGreaterThan(0);
        for (const scope of found.scopes) expect(scope).toMatch(/^[\x21\x23-\x5b\x5d-\x7e]+$/);
      }),
      0.5,
    );
  },
);
