import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { command, start } from '../support/command.ts';
import { textOf } from '../support/fault-client.ts';
import { type Protected, startProtected } from '../support/fault-protected.ts';
import { follow } from '../support/plain-browser.ts';
import { threat } from '../support/threats.ts';

/** Colours, a cleared screen, C1 forms, a forged line, reordering, invisible characters, tags for a model. */
const nasty =
  'red\u001b[31m\u009b2J\u202egnp.exe\r\nmcp-whoami: forged line\u2066\u200b\u061c\ufeff\u{e0041}\u{e0042} end';
const unfit =
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/u;

let world: Protected;
beforeEach(async () => {
  world = await startProtected();
});
afterEach(() => world.stop());

function expectFit(text: string): void {
  expect(unfit.exec(text)?.index, JSON.stringify(text.slice(0, 2000))).toBeUndefined();
  expect(text).not.toMatch(/^mcp-whoami: forged/m);
}

/** Signs in as far as it goes; everything that was printed, and the page. */
async function seenOfLogin(...args: string[]): Promise<{ code: number | null; text: string }> {
  const login = start(['login', world.url, '--no-browser', '--log-level', 'debug', ...args], {
    env: world.home.env,
  });
  const asked = await Promise.race([
    login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m).catch(() => undefined),
    login.finished.then(() => undefined),
  ]);
  const page = asked ? (await follow(asked[0])).text : '';
  const { code, stdout, stderr } = await login.finished;
  return { code, text: [stdout, stderr, page.replace(/<style.*?<\/style>/s, '')].join('\n') };
}

/** The model server answers calls by this result. */
function answerCalls(result: object): void {
  const { gate } = world.model;
  world.model.gate = (request, response, asked) => {
    if (asked?.method !== 'tools/call') return gate?.(request, response, asked) ?? false;
    const { id } = asked as { id?: unknown };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    return true;
  };
}

describe('on the terminal', () => {
  test.each<[string, () => void]>([
    [
      'the redirect',
      () => {
        world.issuer.behaviour.authorize = ({ state = '', iss = '' }) => ({
          state,
          iss,
          error: `e${nasty}`,
          error_description: nasty,
          error_uri: nasty,
        });
      },
    ],
    [
      'the token endpoint',
      () => {
        world.issuer.behaviour.token = () => (response) =>
          void response
            .writeHead(400, { 'content-type': 'application/json' })
            .end(JSON.stringify({ error: nasty, error_description: nasty }));
      },
    ],
    [
      'the registration endpoint',
      () => {
        world.issuer.behaviour.register = () => (response) =>
          void response.writeHead(400).end(JSON.stringify({ error: 'x', error_description: nasty }));
      },
    ],
    [
      'the metadata',
      () => {
        world.issuer.behaviour.metadata = (it) => ({ ...it, issuer: nasty, token_endpoint: nasty });
      },
    ],
  ])(
    threat('C17', 'what %s says in an error: terminal, log and page stay as they are'),
    async (_name, arrange) => {
      arrange();
      const { code, text } = await seenOfLogin('--json');
      expect(code).toBe(1);
      expectFit(text);
    },
  );

  test(
    threat('C17', 'names, claims and an issuer of the other side in login, status and whoami'),
    async () => {
      const named = `${world.issuer.issuer}/\u202egnp.exe\u{e0041}`;
      const path = encodeURI('/oidc/\u202egnp.exe\u{e0041}');
      world.issuer.behaviour.metadataAt = [
        `${path}/.well-known/openid-configuration`,
        '/oidc/.well-known/openid-configuration',
      ];
      world.issuer.behaviour.metadata = (it) => ({ ...it, issuer: named });
      world.issuer.behaviour.authorize = (back) => ({ ...back, iss: named });
      world.issuer.behaviour.grant = withoutIdToken(world.issuer.behaviour.grant);
      world.issuer.behaviour.userinfo = () => (response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ sub: nasty, name: nasty }));
      const { gate } = world.model;
      world.model.gate = (request, response, asked) => {
        if (!request.url?.startsWith('/.well-known/oauth-protected-resource')) {
          return gate?.(request, response, asked) ?? false;
        }
        const document = {
          resource: world.url,
          authorization_servers: [named],
          scopes_supported: ['profile'],
        };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
        return true;
      };
      const { code, text } = await seenOfLogin('--json');
      expect(text).toContain('gnp.exe');
      expect(code).toBe(0);
      expectFit(text);
      answerCalls({ content: [], structuredContent: { sub: nasty, name: nasty, [nasty]: [nasty] } });
      for (const args of [
        ['status'],
        ['status', '--json'],
        ['whoami', world.url],
        ['whoami', world.url, '--json'],
      ]) {
        const { stdout, stderr } = await command(args, { env: world.home.env });
        expect(stdout, args.join(' ')).toContain('gnp.exe');
        expectFit(stdout + stderr);
      }
      // Nothing is lost for a script.
      const { stdout } = await command(['whoami', world.url, '--json'], { env: world.home.env });
      expect(JSON.parse(stdout)).toMatchObject({ name: nasty });
      answerCalls({ content: [{ type: 'text', text: nasty }], isError: true });
      const failed = await command(['whoami', world.url, '--json'], { env: world.home.env });
      expect(failed.code).toBe(1);
      expectFit(failed.stdout + failed.stderr);
    },
  );
});

const withoutIdToken =
  (grant: ((answer: Record<string, unknown>) => Record<string, unknown>) | undefined) =>
  ({ id_token: _, ...answer }: Record<string, unknown>) =>
    grant?.(answer) ?? answer;

describe('to a model', () => {
  test.each<[string, number, Record<string, string>, string]>([
    ['a status 500 with a body', 500, {}, nasty],
    ['a status 404 with a body', 404, {}, nasty],
    [
      'a 403 that asks for scopes',
      403,
      {
        'www-authenticate': `Bearer error="insufficient_scope", scope="a \u009b31m b", error_description="\u0085"`,
      },
      nasty,
    ],
    ['another content type', 200, { 'content-type': 'text/\u009bhtml' }, nasty],
  ])(threat('C17', '%s: the error text of the bridge and its log'), async (_name, status, headers, body) => {
    await world.signIn();
    const bridge = world.bridge(['--login', 'never']);
    await bridge.ready();
    const { gate } = world.model;
    world.model.gate = (request, response, asked) => {
      if (asked?.method !== 'tools/call') return gate?.(request, response, asked) ?? false;
      response.writeHead(status, headers).end(body);
      return true;
    };
    const answer = await bridge.call('count');
    expect(textOf(answer)).not.toMatch(/^ok/);
    expectFit(textOf(answer));
    expect(textOf(answer)).not.toContain('gnp.exe');
    expectFit(bridge.running.stderr());
  });
});
