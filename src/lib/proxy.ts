import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { AppError, reasonOf } from './errors.ts';
import { isLoopbackHost } from './url.ts';

/** Which proxy a request takes; `undefined`: none. */
export type ProxyFor = (url: URL) => URL | undefined;

/**
 * The proxy of https requests as the environment names it: `HTTPS_PROXY` or `ALL_PROXY`, in capitals or not, except
 * for loopback addresses and what `NO_PROXY` lists (hosts, also with a leading dot or a port; `*`).
 */
export function proxyFrom(environment: Readonly<Record<string, string | undefined>>): ProxyFor {
  const read = (name: string) => environment[name] || environment[name.toLowerCase()] || '';
  const named = read('HTTPS_PROXY') || read('ALL_PROXY');
  const text = named === '' || named.includes('://') ? named : `http://${named}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  const exceptions = read('NO_PROXY')
    .split(/[\s,]+/)
    .filter(Boolean);
  if (!proxy || !/^https?:$/.test(proxy.protocol)) return () => undefined;
  return (url) =>
    url.protocol !== 'https:' || isLoopbackHost(url.hostname) || exceptions.some((one) => covers(one, url))
      ? undefined
      : proxy;
}

function covers(exception: string, { hostname, port }: URL): boolean {
  const [, name = '', wanted] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(exception.toLowerCase()) ?? [];
  if (wanted !== undefined && wanted !== (port || '443')) return false;
  return exception === '*' || hostname === name || hostname.endsWith(`.${name}`);
}

/** For the proxy's answer to CONNECT. Milliseconds. */
const connectMs = 10_000;

/** An agent whose connections go through the proxy by CONNECT (RFC 9110 9.3.6); TLS is with the server itself. */
export function createTunnelAgent(proxy: URL, options: https.AgentOptions): https.Agent {
  const agent = new https.Agent(options);
  const open = (
    to: tls.ConnectionOptions,
    done: (error: Error | null, socket?: tls.TLSSocket) => void,
  ): undefined => {
    const target = `${to.host}:${to.port}`;
    const headers: Record<string, string> = { host: target };
    if (proxy.username) {
      const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
      headers['proxy-authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`;
    }
    const request = (proxy.protocol === 'https:' ? https : http).request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path: target,
      headers,
      agent: false,
      timeout: connectMs,
    });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('connect', ({ statusCode = 0 }, socket) => {
      if (statusCode >= 200 && statusCode < 300) {
        socket.setTimeout(0);
        return done(null, tls.connect({ ...to, path: undefined, socket } as tls.ConnectionOptions));
      }
      socket.destroy();
      done(refused(proxy, target, statusCode));
    });
    request.once('error', (error) => done(unreachable(proxy, error)));
    request.end();
    return undefined;
  };
  return Object.assign(agent, { createConnection: open });
}

function refused({ host }: URL, target: string, status: number): AppError {
  if (status === 407) {
    return new AppError('server_unreachable', `the proxy ${host} wants other credentials (407)`, {
      hint: 'put user and password into HTTPS_PROXY: http://user:password@host:port',
    });
  }
  return new AppError(
    'server_unreachable',
    `the proxy ${host} does not lead to ${target} (status ${status})`,
    {
      hint: 'ask who runs the proxy, or name the server in NO_PROXY',
    },
  );
}

function unreachable({ host }: URL, cause: unknown): AppError {
  return new AppError('server_unreachable', `the proxy ${host} cannot be reached (${reasonOf(cause)})`, {
    hint: 'check HTTPS_PROXY, or name the server in NO_PROXY',
    cause,
  });
}
