import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type Home, makeHome } from '../support/home.ts';
import { follow } from '../support/plain-browser.ts';
import { threat } from '../support/threats.ts';
import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';
import { type Resource, startResource } from '../unit/auth/support/resource.ts';

/** The internet in one file: names resolve to public addresses, which are found on loopback. */
const preload = `
import dns from 'node:dns';
import net from 'node:net';
const names = { 'mcp.test': '203.0.113.7', 'inner.test': '10.0.0.5' };
const real = dns.lookup;
dns.lookup = (host, options, done) => {
  const address = names[host];
  if (!address) return real(host, options, done);
  if (options?.all) done(null, [{ address, family: 4 }]);
  else done(null, address, 4);
};
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  if (options && typeof options === 'object' && names[options.host]) {
    const lookup = options.lookup ?? dns.lookup;
    options.lookup = (host, how, done) =>
      lookup(host, how, (error, found, family) => {
        if (error) return done(error, found, family);
        done(null, Array.isArray(found) ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);
      });
  }
  return connect.apply(this, args);
};
`;

let issuer: Issuer;
let resource: Resource;
let home: Home;
let env: Record<string, string>;
beforeEach(async () => {
  issuer = await startIssuer();
  resource = await startResource(() => issuer.issuer);
  home = makeHome();
  const file = join(home.path, 'internet.mjs');
  writeFileSync(file, preload);
  env = { ...home.env, NODE_OPTIONS: `--import ${pathToFileURL(file).href}` };
});
afterEach(async () => {
  await Promise.all([issuer.close(), resource.close()]);
  home.remove();
});

/** The resource under a public name. */
function publish(issuerUrl: () => string): { url: string; args: string[] } {
  const url = `http://mcp.test:${resource.port}/mcp`;
  const place = `http://mcp.test:${resource.port}/.well-known/oauth-protected-resource/mcp`;
  resource.behaviour.challenge = `resource_metadata="${place}"`;
  resource.behaviour.metadata = (it) => ({ ...it, resource: url, authorization_servers: [issuerUrl()] });
  const origins = [`http://mcp.test:${resource.port}`, `http://inner.test:${issuer.port}`];
  return { url, args: origins.flatMap((origin) => ['--allow-http', origin]) };
}

test(
  threat(
    'C8',
    'a public server that names an issuer on loopback, or by a name that leads inside: it is not asked',
  ),
  async () => {
    const inside = [
      () => issuer.issuer,
      () => `http://inner.test:${issuer.port}/oidc`,
      () => `http://[::ffff:127.0.0.1]:${issuer.port}/oidc`,
    ];
    for (const issuerUrl of inside) {
      const { url, args } = publish(issuerUrl);
      const { code, stderr } = await command(['login', url, '--no-browser', ...args], { env });
      expect(code).toBe(1);
      expect(stderr, issuerUrl()).toMatch(/--allow-private-network|plain http to another machine/);
      expect(resource.seen.length).toBeGreaterThan(0);
    }
    expect(issuer.seen).toEqual([]);
  },
);

test(threat('C8', 'link-local addresses are refused whatever was allowed'), async () => {
  for (const address of ['169.254.169.254', '[fe80::1]', '[::ffff:169.254.169.254]']) {
    const { url, args } = publish(() => `https://${address}/latest`);
    const { code, stderr } = await command(
      ['login', url, '--no-browser', '--allow-private-network', ...args],
      { env },
    );
    expect(code).toBe(1);
    expect(stderr).toContain('link-local');
  }
});

test(
  threat('C8', 'a challenge of a public server that names metadata on loopback: it is not asked'),
  async () => {
    const { url, args } = publish(() => issuer.issuer);
    resource.behaviour.challenge = `resource_metadata="${issuer.origin}/.well-known/x"`;
    const { code, stderr } = await command(['login', url, '--no-browser', ...args], { env });
    expect(code).toBe(1);
    expect(stderr).toContain('--allow-private-network');
    expect(issuer.seen).toEqual([]);
  },
);

test('--allow-private-network lets such a sign-in through', async () => {
  const { url, args } = publish(() => issuer.issuer);
  const login = start(['login', url, '--no-browser', '--allow-private-network', ...args], { env });
  const [address] = await login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
  await follow(address);
  expect((await login.finished).code).toBe(0);
});

test(
  threat(
    'C8',
    'a public issuer that sends the browser, or whoever types a code, to loopback: no address is shown',
  ),
  async () => {
    issuer.behaviour.device = (honest) => honest;
    const { url, args } = publish(() => `http://mcp.test:${issuer.port}/oidc`);
    const inside = `http://127.0.0.1:${issuer.port}/oidc/authorize`;
    issuer.behaviour.metadata = (it) => ({
      ...(JSON.parse(JSON.stringify(it).replaceAll('127.0.0.1', 'mcp.test')) as typeof it),
      authorization_endpoint: inside,
    });
    const trusted = ['--allow-http', `http://mcp.test:${issuer.port}`];
    for (const how of ['--no-browser', '--device']) {
      const { code, stderr, stdout } = await command(['login', url, how, ...args, ...trusted], { env });
      expect(stderr).toContain('a loopback address');
      expect(stdout + stderr).not.toMatch(/oidc\/(?:authorize|device)/);
      expect(code).toBe(1);
    }
    expect(issuer.at('authorize')).toEqual([]);
  },
);
