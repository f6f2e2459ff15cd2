import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { covers } from '../../../src/auth/discovery/resource-metadata.ts';
import { threat } from '../../support/threats.ts';
import { createWorld, refusal, type World } from './support/world.ts';

let world: World;
beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

describe('resource metadata of another resource', () => {
  it.each([
    ['another host', 'https://evil.example/mcp'],
    ['another port', 'http://127.0.0.1:1/mcp'],
    ['a sibling path', '/other'],
    ['half a path segment', '/mc'],
    ['a path below', '/mcp/more'],
    ['with a user part', 'http://x@127.0.0.1/mcp'],
    ['with a fragment', '/mcp#x'],
    ['missing', undefined],
    ['no URL', 'mcp'],
    ['not a string', 7],
  ])(threat('C2', '%s is refused'), async (_name, resource) => {
    const claimed =
      typeof resource === 'string' && resource.startsWith('/') ? world.resource.origin + resource : resource;
    world.resource.behaviour.metadata = (it) => ({ ...it, resource: claimed });
    const edges = world.process();
    expect((await refusal(world.login(edges))).code).toBe('metadata_invalid');
    expect(edges.opened).toEqual([]);
    expect(world.issuer.seen).toEqual([]);
  });

  it.each([
    ['https://a.example/mcp', 'https://a.example/mcp/', true],
    ['https://a.example/mcp/', 'https://a.example/mcp', true],
    ['https://a.example', 'https://a.example/mcp', true],
    ['https://A.example:443/mcp', 'https://a.example/mcp', true],
    ['https://a.example/x', 'https://a.example/x/y', true],
    ['https://a.example/x/y', 'https://a.example/x', false],
    ['http://a.example/x', 'https://a.example/x', false],
    ['https://a.example/x?t=1', 'https://a.example/x?t=1', true],
    ['https://a.example/x?t=1', 'https://a.example/x?t=2', false],
  ])(threat('C2', '%s for %s: %s'), (resource, server, expected) => {
    expect(covers(resource, new URL(server))).toBe(expected);
  });
});
