import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { reasonOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { isLoopbackHost } from '../lib/url.ts';
import { commonHeaders, type Page, renderPage } from './pages/layout.ts';
import { homePage, messagePage } from './pages/message.ts';
import { errorPage } from './views.ts';

export interface FrontParts {
  /** `http://HOST:PORT`. */
  readonly origin: string;
  /** Path of the issuer, `/oidc`. */
  readonly mount: string;
  /** The protocol library; it is served under `mount` and sees paths without it. */
  readonly protocol: RequestListener;
  /** The sign-in and consent pages; gets the interaction's id from the path. */
  readonly interaction: (req: IncomingMessage, res: ServerResponse, uid: string) => Promise<void>;
  readonly log: Log;
}

/**
 * The server's one entrance: checks the Host header (a page of the web must not reach us by a name of its own,
 * DNS rebinding), sets the common header fields and hands the request to the one who answers it.
 */
export function createFront(parts: FrontParts): RequestListener {
  const { origin, mount } = parts;
  const host = new URL(origin).host;
  const inserted = new RegExp(
    `^(/\\.well-known/(?:oauth-authorization-server|openid-configuration))${mount}$`,
  );

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const [path = '/', query] = splitTarget(req.url ?? '/');
    const wellKnown = inserted.exec(path)?.[1];
    const uid = new RegExp(`^${mount}/interaction/([\\w-]{1,64})$`).exec(path)?.[1];
    if (uid) return parts.interaction(req, res, uid);
    if (path === '/' || path === mount) return sendPage(res, 200, homePage(origin + mount));
    if (wellKnown) return forward(req, res, wellKnown, query);
    if (!path.startsWith(`${mount}/`)) return sendPage(res, 404, notFound);
    const inside = path.slice(mount.length);
    if (inside === '/reg' && registrationCors(req, res)) return;
    forward(req, res, inside, query);
  }

  /** The library builds its own URLs from the difference between `originalUrl` and `url`. */
  function forward(req: IncomingMessage, res: ServerResponse, path: string, query: string): void {
    req.url = path + query;
    (req as IncomingMessage & { originalUrl?: string }).originalUrl = mount + path + query;
    parts.protocol(req, res);
  }

  return (req, res) => {
    for (const [name, value] of Object.entries(commonHeaders)) res.setHeader(name, value);
    if (req.headers.host?.toLowerCase() !== host || !req.url?.startsWith('/')) {
      res.writeHead(403, { 'content-type': 'text/plain; charset=utf-8' });
      res.end(`This server answers to ${host} only.\n`);
      return;
    }
    answer(req, res).catch((error: unknown) => {
      parts.log.warn('the demo authorization server could not answer', { reason: reasonOf(error) });
      if (res.headersSent) res.destroy();
      else sendPage(res, 500, errorPage('server_error', undefined));
    });
  };
}

export function sendPage(res: ServerResponse, status: number, page: Page): void {
  const { headers, html } = renderPage(page);
  res.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(html) });
  res.end(res.req.method === 'HEAD' ? undefined : html);
}

/** Pages served from this machine, on any port: browser clients such as the MCP Inspector. */
export function isLoopbackOrigin(origin: string | undefined): boolean {
  if (!origin || !URL.canParse(origin)) return false;
  const { protocol, hostname } = new URL(origin);
  return (protocol === 'http:' || protocol === 'https:') && isLoopbackHost(hostname);
}

/** Cross-origin registration, which the library leaves to us. Out: true when the request is answered. */
function registrationCors(req: IncomingMessage, res: ServerResponse): boolean {
  const { origin } = req.headers;
  res.setHeader('vary', 'origin');
  if (origin && isLoopbackOrigin(origin)) {
    res.setHeader('access-control-allow-origin', origin);
    res.setHeader('access-control-allow-methods', 'POST');
    res.setHeader('access-control-allow-headers', 'content-type, mcp-protocol-version');
    res.setHeader('access-control-max-age', '3600');
  }
  if (req.method !== 'OPTIONS') return false;
  res.writeHead(204);
  res.end();
  return true;
}

function splitTarget(target: string): [string, string] {
  const at = target.indexOf('?');
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at)];
}

export const notFound: Page = messagePage({
  heading: 'There is nothing here',
  text: 'The address is not one of this server. A sign-in starts in the application that wants one.',
  mood: 'bad',
});
