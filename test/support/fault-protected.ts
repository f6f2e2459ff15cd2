import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';
import { start } from './command.ts';
import { type FaultClient, startFaultClient } from './fault-client.ts';
import { type Home, makeHome } from './home.ts';
import { type Model, startModel } from './model-server.ts';
import { follow } from './plain-browser.ts';

/** The model server behind an authorization server: opaque tokens, rotation with reuse detection. */
export interface Protected {
  readonly issuer: Issuer;
  readonly model: Model;
  readonly home: Home;
  readonly url: string;
  /** Access tokens, in the order in which they were given out, and when. */
  readonly given: { readonly token: string; readonly at: number }[];
  /** Access tokens that the model server takes. */
  readonly accepted: Set<string>;
  /** Asked for by the next call that has a token; met by a token whose scope has it. */
  neededScope: string | undefined;
  signIn(args?: readonly string[]): Promise<void>;
  /** A bridge of the person who signed in. */
  bridge(args?: readonly string[], env?: Record<string, string>): FaultClient;
  stop(): Promise<void>;
}

/** In: seconds that an access token lives; the transport; the name by which both servers are reached. */
export async function startProtected(
  lifetime = 3600,
  path: 'mcp' | 'sse' = 'mcp',
  name = '127.0.0.1',
): Promise<Protected> {
  const named = (address: string) => address.replace('127.0.0.1', name);
  const given: { token: string; at: number }[] = [];
  const accepted = new Set<string>();
  const scopes = new Map<string, string>();
  const issuer = await startIssuer(
    {
      lifetime,
      grant(answer) {
        const token = String(answer.access_token);
        given.push({ token, at: Date.now() });
        accepted.add(token);
        scopes.set(token, String(answer.scope));
        return answer;
      },
    },
    '/oidc',
    { publicOrigin: named },
  );
  const model = await startModel();
  const home = makeHome();
  const url = named(model[path]);
  const bridges: FaultClient[] = [];
  const metadata = `/.well-known/oauth-protected-resource/${path}`;

  model.gate = (request, response, asked) => {
    if (request.url === metadata) {
      const document = {
        resource: url,
        authorization_servers: [issuer.issuer],
        scopes_supported: ['openid'],
      };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
      return true;
    }
    if (request.url?.startsWith('/.well-known/')) {
      response.writeHead(404).end();
      return true;
    }
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    const where = `resource_metadata="${new URL(metadata, url).href}"`;
    if (!accepted.has(token)) {
      response.writeHead(401, { 'www-authenticate': `Bearer error="invalid_token", ${where}` }).end();
      return true;
    }
    const { neededScope } = world;
    if (asked?.method !== 'tools/call' || !neededScope || scopes.get(token)?.includes(neededScope))
      return false;
    const challenge = `Bearer error="insufficient_scope", scope="${neededScope}", ${where}`;
    response.writeHead(403, { 'www-authenticate': challenge }).end();
    return true;
  };

  const world: Protected = {
    issuer,
    model,
    home,
    url,
    given,
    accepted,
    neededScope: undefined,
    async signIn(args = []) {
      const login = start(['login', url, '--no-browser', ...args], { env: home.env });
      const [authorization] = await login.printed(/^https?:\/\/\S+[?&]code_challenge=\S+$/m);
      await follow(authorization);
      const { code, stderr } = await login.finished;
      if (code !== 0) throw new Error(stderr);
    },
    bridge(args = [], env = {}) {
      const bridge = startFaultClient(url, { args, env: { ...home.env, MCP_WHOAMI_TOKEN: '', ...env } });
      bridges.push(bridge);
      return bridge;
    },
    async stop() {
      await Promise.all(bridges.map((bridge) => bridge.discard()));
      await issuer.close();
      await model.stop();
      home.remove();
    },
  };
  return world;
}
