import { type Issuer, startIssuer } from '../unit/auth/support/issuer.ts';
import { type Authority, createAuthority } from './certificates.ts';
import { type Finished, start } from './command.ts';
import { type ConnectProxy, startConnectProxy } from './connect-proxy.ts';
import { freePort } from './free-port.ts';
import { type Home, makeHome } from './home.ts';
import { follow } from './plain-browser.ts';
import { startTlsFront } from './tls-front.ts';

/**
 * A company's network: the whoami server and its authorization server at names that only the proxy resolves,
 * with certificates of the company's own authority.
 */
export interface Company {
  readonly authority: Authority;
  readonly proxy: ConnectProxy;
  readonly issuer: Issuer;
  /** `https://mcp.corp.test/mcp` and `/sse`. */
  readonly mcp: string;
  readonly sse: string;
  /** A person's home, with the proxy in the environment. */
  readonly home: Home;
  /** What the server has printed. */
  serverLog(): string;
  /** `login URL ARGS`, walked through as a browser inside the company would. */
  signIn(url: string, env: Record<string, string>, args?: readonly string[]): Promise<Finished>;
  stop(): Promise<void>;
}

export interface CompanyOptions {
  /** The host of the authorization server; default: `auth.corp.test`. */
  readonly issuerHost?: string;
  /** What the proxy wants of the people; the server has `server:its-own-password`. */
  readonly people?: string;
  /** Seconds that an access token lives. */
  readonly lifetime?: number;
  /** The proxy is spoken to over TLS. */
  readonly secureProxy?: boolean;
}

const serverCredentials = 'server:its-own-password';

export async function startCompany(options: CompanyOptions = {}): Promise<Company> {
  const { issuerHost = 'auth.corp.test', people } = options;
  const authority = createAuthority();
  const proxy = await startConnectProxy(options.secureProxy ? authority.issue(['IP:127.0.0.1']) : undefined);
  if (people) proxy.wanted = [people, serverCredentials];
  const behaviour = options.lifetime === undefined ? {} : { lifetime: options.lifetime };
  const issuer = await startIssuer(behaviour, '/oidc', { publicOrigin: () => `https://${issuerHost}` });
  const port = await freePort();
  const named = /^[\d.]+$/.test(issuerHost) ? `IP:${issuerHost}` : issuerHost;
  const fronts = [
    await startTlsFront(authority.issue([named]), () => issuer.port),
    await startTlsFront(authority.issue(['mcp.corp.test']), () => port),
  ];
  for (const [i, host] of [issuerHost, 'mcp.corp.test'].entries()) {
    proxy.routes.set(`${host}:443`, fronts[i]?.port ?? 0);
  }
  const through = (credentials: string) => proxy.url.replace('://', `://${credentials}@`);
  const serverHome = makeHome({ HTTPS_PROXY: people ? through(serverCredentials) : proxy.url });
  const addresses = ['--port', String(port), '--public-url', 'https://mcp.corp.test'];
  const running = start(
    ['serve', ...addresses, '--issuer', issuer.issuer, '--verify', 'userinfo', '--ca', authority.file],
    { env: serverHome.env },
  );
  await running.printed(/access tokens are verified by userinfo/);
  const home = makeHome({ HTTPS_PROXY: people ? through(people) : proxy.url });
  return {
    authority,
    proxy,
    issuer,
    mcp: 'https://mcp.corp.test/mcp',
    sse: 'https://mcp.corp.test/sse',
    home,
    serverLog: running.stderr,
    async signIn(url, env, args = []) {
      const login = start(['login', url, '--no-browser', ...args], { env });
      // One that is refused ends before it prints an address.
      const printed = await login.printed(/^https:\/\/\S+[?&]code_challenge=\S+$/m).catch(() => undefined);
      if (printed) await follow(printed[0].replace(`https://${issuerHost}`, issuer.origin));
      return login.finished;
    },
    async stop() {
      await running.stop('SIGINT');
      await Promise.all(fronts.map((front) => front.stop()));
      await issuer.close();
      await proxy.stop();
      authority.remove();
      for (const each of [home, serverHome]) each.remove();
    },
  };
}
