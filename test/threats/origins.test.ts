import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { type Evil, startEvil } from '../support/evil.ts';
import { type FaultClient, startFaultClient, textOf } from '../support/fault-client.ts';
import { type Home, makeHome } from '../support/home.ts';
import { type Model, startModel } from '../support/model-server.ts';
import { follow } from '../support/plain-browser.ts';
import { threat } from '../support/threats.ts';
import { type Issuer, reply, startIssuer } from '../unit/auth/support/issuer.ts';
import { type Resource, startResource } from '../unit/auth/support/resource.ts';

const authorizationUrl = /^https?:\/\/\S+[?&]code_challenge=\S+$/m;

let evil: Evil;
beforeEach(async () => {
  evil = await startEvil();
});
afterEach(() => evil.close());

describe('sign-in', () => {
  let issuer: Issuer;
  let resource: Resource;
  let home: Home;
  beforeEach(async () => {
    issuer = await startIssuer();
    resource = await startResource(() => issuer.issuer);
    home = makeHome();
  });
  afterEach(async () => {
    await Promise.all([issuer.close(), resource.close()]);
    home.remove();
  });

  /** Signs in as far as it goes. */
  async function login(url: string, ...args: string[]) {
    const running = start(['login', url, '--no-browser', '--log-level', 'debug', ...args], { env: home.env });
    const asked = await Promise.race([
      running.printed(authorizationUrl).catch(() => undefined),
      running.finished.then(() => undefined),
    ]);
    const page = asked && (await follow(asked[0]));
    return { ...(await running.finished), page: page?.text ?? '', asked: asked?.[0] };
  }

  test(
    threat(
      ['C3', 'C4'],
      'a server that borrows the honest authorization endpoint gets neither code nor belief',
    ),
    async () => {
      const document = () => ({
        issuer: evil.origin,
        authorization_endpoint: `${issuer.issuer}/authorize`,
        token_endpoint: `${evil.origin}/token`,
        code_challenge_methods_supported: ['S256'],
      });
      await evil.close();
      evil = await startEvil((response, { url }) => {
        const wellKnown = url.startsWith('/.well-known/openid-configuration');
        response
          .writeHead(wellKnown ? 200 : 404, { 'content-type': 'application/json' })
          .end(JSON.stringify(wellKnown ? document() : {}));
      });
      resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [evil.origin] });
      const { code, page } = await login(resource.url.href, '--client-id', 'given');
      expect(code).toBe(1);
      expect(issuer.at('authorize')).toHaveLength(1);
      expect(page).toContain('You are not signed in');
      expect(page).toContain('The answer does not come from');
      expect(evil.caught.filter(({ method }) => method !== 'GET')).toEqual([]);
      expect(evil.loot()).not.toMatch(/code=|code_verifier/);
    },
  );

  test.each([302, 307, 308])(
    threat('C9', 'a token endpoint that answers %i: code and verifier stay here'),
    async (status) => {
      issuer.behaviour.token = () => reply(status, '', { location: `${evil.origin}/token` });
      const { code } = await login(resource.url.href);
      expect(code).toBe(1);
      expect(issuer.at('token')).toHaveLength(1);
      expect(evil.caught).toEqual([]);
    },
  );

  test(
    threat('C9', 'a registration endpoint and metadata that redirect: nothing arrives, no browser opens'),
    async () => {
      issuer.behaviour.register = () => reply(307, '', { location: `${evil.origin}/register` });
      const first = await login(resource.url.href);
      expect([first.code, first.asked]).toEqual([1, undefined]);
      resource.behaviour.before = (_request, response, url) => {
        if (!url.pathname.startsWith('/.well-known')) return undefined;
        response.writeHead(302, { location: `${evil.origin}${url.pathname}` }).end();
        return true;
      };
      const second = await login(resource.url.href);
      expect([second.code, second.asked]).toEqual([1, undefined]);
      expect(evil.caught).toEqual([]);
    },
  );

  test(
    threat(
      ['C21', 'C22'],
      'a resource that moves to another issuer: the old refresh token goes nowhere, and it is said',
    ),
    async () => {
      const given: string[] = [];
      issuer.behaviour.grant = (answer) => {
        given.push(String(answer.access_token), String(answer.refresh_token));
        return answer;
      };
      expect((await login(resource.url.href)).code).toBe(0);
      given.push(...issuer.at('token').flatMap(({ form }) => form.get('code') ?? []));
      const other = await startIssuer();
      try {
        resource.behaviour.metadata = (it) => ({ ...it, authorization_servers: [other.issuer] });
        const again = await login(resource.url.href);
        expect(again.code).toBe(0);
        expect(again.stderr).toContain('another authorization server than before');
        expect(given.length).toBeGreaterThanOrEqual(3);
        for (const secret of given) expect(JSON.stringify(other.seen)).not.toContain(secret);
        // Nobody is signed in to another path of that origin, nor to the evil one.
        for (const url of [`${resource.origin}/mcp/more`, `${evil.origin}/mcp`]) {
          expect((await command(['whoami', url], { env: home.env })).code).not.toBe(0);
        }
        expect(evil.loot()).not.toMatch(/authorization"|bearer/i);
      } finally {
        await other.close();
      }
    },
  );
});

describe('the bridge', () => {
  const token = 'the-token-given-by-hand';
  let model: Model;
  let bridge: FaultClient;
  beforeEach(async () => {
    model = await startModel();
  });
  afterEach(async () => {
    await bridge.discard();
    await model.stop();
  });
  const open = (url: string) => {
    bridge = startFaultClient(url, { env: { MCP_WHOAMI_TOKEN: token } });
    return bridge;
  };

  test.each([301, 302, 307, 308])(
    threat('C10', 'a %i of any leg to another origin: neither token nor arguments get there'),
    async (status) => {
      for (const [url, method] of [
        [model.mcp, 'POST'],
        [model.sse, 'POST'],
      ] as const) {
        const client = open(url);
        await client.ready();
        model.gate = (request, response, asked) => {
          if (request.method !== method || asked?.method !== 'tools/call') return false;
          response.writeHead(status, { location: `${evil.origin}/landed` }).end();
          return true;
        };
        const answer = await client.call('count');
        expect(textOf(answer)).toContain(evil.origin);
        model.gate = undefined;
        await client.discard();
      }
      model.gate = (request, response) => {
        if (request.method !== 'GET') return false;
        response.writeHead(status, { location: `${evil.origin}/landed` }).end();
        return true;
      };
      const client = open(model.sse);
      await client.greet();
      expect(textOf(await client.call('count'))).toContain(evil.origin);
      expect(evil.caught).toEqual([]);
    },
  );

  test(threat('C11', 'an endpoint event that names another origin: no request arrives there'), async () => {
    const hosts = [`${evil.origin}/messages`, `//127.0.0.1:${evil.port}/messages`, 'javascript:alert(1)'];
    for (const endpoint of hosts) {
      model.gate = (request, response) => {
        if (request.method !== 'GET') return false;
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
        return true;
      };
      const client = open(model.sse);
      await client.greet();
      expect(textOf(await client.call('count'))).toContain('not within');
      await client.discard();
    }
    expect(evil.caught).toEqual([]);
    expect(model.seen.filter(({ verb }) => verb === 'POST')).toEqual([]);
  });
});
