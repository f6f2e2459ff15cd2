import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { AppError } from './errors.ts';
import { describeNetworkError, networkHint } from './network-error.ts';

/** For the proxy's answer to CONNECT. Milliseconds. */
const connectMs = 10_000;

/**
 * An agent whose connections go through a proxy by CONNECT (RFC 9110 9.3.6); TLS is with the server itself.
 *
 * Its failures are AppErrors `server_unreachable` that name the proxy without its credentials. One that may pass
 * has a cause that a failed connection of our own would have.
 */
export function createTunnelAgent(proxy: URL, options: https.AgentOptions): https.Agent {
  const agent = new https.Agent(options);
  const { secureContext } = options;
  const secure = proxy.protocol === 'https:';
  const open = (
    to: tls.ConnectionOptions,
    done: (error: Error | null, socket?: tls.TLSSocket) => void,
  ): undefined => {
    const host = to.host ?? '';
    const target = `${isIP(host) === 6 ? `[${host}]` : host}:${to.port}`;
    const via = proxy.hostname.replace(/^\[|\]$/g, '');
    const request = (secure ? https : http).request({
      host: via,
      port: proxy.port || (secure ? 443 : 80),
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...credentialsOf(proxy) },
      agent: false,
      timeout: connectMs,
      // Else Node takes the name in the Host header, which is not whom we speak to.
      ...(secure ? { servername: isIP(via) ? '' : via } : {}),
      ...(secure && secureContext ? { secureContext } : {}),
    });
    request.once('timeout', () => request.destroy(asConnectError('ETIMEDOUT', 'no answer')));
    request.once('connect', (answer, socket) => {
      const { statusCode = 0 } = answer;
      if (statusCode >= 200 && statusCode < 300) {
        socket.setTimeout(0);
        return done(null, tls.connect({ ...to, path: undefined, socket } as tls.ConnectionOptions));
      }
      socket.destroy();
      done(refused(proxy, target, answer));
    });
    request.once('error', (error) => done(unreachable(proxy, error)));
    request.end();
    return undefined;
  };
  return Object.assign(agent, { createConnection: open });
}

/** Basic credentials (RFC 7617). What is not percent-encoded in order is taken as it is. */
function credentialsOf({ username, password }: URL): Record<string, string> {
  if (!username) return {};
  const text = [username, password].map(decoded).join(':');
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function refused(proxy: URL, target: string, { statusCode = 0, headers }: IncomingMessage): AppError {
  const { host } = proxy;
  if (statusCode === 407) {
    const wanted = [headers['proxy-authenticate'] ?? []].flat().join(', ');
    if (wanted !== '' && !/\bbasic\b/i.test(wanted)) {
      return failure(`the proxy ${host} wants a sign-in that is not supported (407): only Basic is`, {
        hint: 'name a local proxy in HTTPS_PROXY that signs in to this one for you (px, cntlm)',
      });
    }
    return failure(`the proxy ${host} wants ${proxy.username ? 'other ' : ''}credentials (407)`, {
      hint: 'put user and password into HTTPS_PROXY: http://user:password@host:port (@ : / # % as %40 %3A %2F %23 %25)',
    });
  }
  return failure(`the proxy ${host} does not lead to ${target} (status ${statusCode})`, {
    hint: 'ask who runs the proxy, or name the server in NO_PROXY',
    ...(statusCode >= 500 ? { cause: asConnectError('EHOSTUNREACH', `status ${statusCode}`) } : {}),
  });
}

function unreachable(proxy: URL, cause: Error): AppError {
  const why = describeNetworkError(cause, new URL(`${proxy.protocol}//${proxy.host}`));
  return failure(`the proxy ${proxy.host} cannot be reached: ${why}`, {
    hint: networkHint(cause) ?? 'check HTTPS_PROXY and your network, or name the server in NO_PROXY',
    cause,
  });
}

const failure = (message: string, detail: { readonly hint: string; readonly cause?: unknown }) =>
  new AppError('server_unreachable', message, detail);

/** As the system would say it: nothing has reached the server. */
const asConnectError = (code: string, message: string) =>
  Object.assign(new Error(message), { code, syscall: 'connect' });
