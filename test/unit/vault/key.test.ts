import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entryKey } from '../../../src/vault/key.ts';
import { threat } from '../../support/threats.ts';

const resource = 'https://mcp.example.com/sse';

test('the name is stable, short and plain', () => {
  const key = entryKey({ resource, issuer: 'https://auth.example.com/oidc', profile: 'default' });
  expect(key).toBe('v1-c2b6aff8ad076a18938ca3b38cf4825f565510f2');
  expect(key).toMatch(/^v1-[0-9a-f]{40}$/);
});

test('forms of one resource share a name', () => {
  const forms = [
    'https://MCP.example.com/sse',
    'HTTPS://mcp.example.com:443/sse',
    `${resource}#x`,
    new URL(resource),
  ];
  for (const form of forms)
    expect(entryKey({ resource: form, profile: 'p' })).toBe(entryKey({ resource, profile: 'p' }));
});

test.each([
  ['another path', { resource: 'https://mcp.example.com/mcp', profile: 'p' }],
  ['another port', { resource: 'https://mcp.example.com:8443/sse', profile: 'p' }],
  ['another query', { resource: `${resource}?a=1`, profile: 'p' }],
  ['another profile', { resource, profile: 'q' }],
  ['an issuer', { resource, profile: 'p', issuer: 'https://a.example.com' }],
  ['an issuer that is empty', { resource, profile: 'p', issuer: '' }],
  ['a purpose', { resource, profile: 'p', purpose: 'pending' }],
])(threat('C22', '%s makes another name'), (_, parts) => {
  expect(entryKey(parts)).not.toBe(entryKey({ resource, profile: 'p' }));
});

test(threat('C22', 'no shift of characters between the parts makes the same name'), () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\n', '\0', '|', ':', '/', '"') });
  fc.assert(
    fc.property(text, text, text, text, (issuer, profile, otherIssuer, otherProfile) => {
      fc.pre(issuer !== otherIssuer || profile !== otherProfile);
      const one = entryKey({ resource, issuer, profile });
      expect(one).not.toBe(entryKey({ resource, issuer: otherIssuer, profile: otherProfile }));
    }),
  );
});
