import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { listenOnLoopback, type RedirectHost } from './listen.ts';
import { donePage, failedPage, notHerePage, type Outcome, type Page } from './pages.ts';
import { answersState } from './redirect.ts';

export type { Outcome } from './pages.ts';

/** The listener of one redirect (RFC 8252 7.3). */
export interface Loopback {
  readonly redirectUri: string;
  /** The parameters of the first redirect whose state is ours. Anything else gets 404 and changes nothing. */
  readonly redirect: Promise<URLSearchParams>;
  /**
   * Waits for the answer to another request from now on: `redirect` is a new promise. The browser that brought
   * the last answer, if one did, is sent on to `url`. Out: whether it was.
   */
  sendOn(url: string, state: string): boolean;
  /** Shows the outcome to the browser that brought the redirect, if one did; then closes. */
  finish(outcome: Outcome): Promise<void>;
  /** Closes at once: no listener, no socket is left. */
  close(): Promise<void>;
}

export interface LoopbackOptions {
  readonly host: RedirectHost;
  /** 0: any free one. */
  readonly port: number;
  /** The state to wait for. */
  readonly state: string;
  /** How long a connection may take to say what it wants, and the browser to ask for the page. Default: 5 s. */
  readonly patienceMs?: number;
}

export const callbackPath = '/callback';
const donePath = '/done';
const maxSockets = 16;
const defaultPatienceMs = 5_000;

/**
 * Listens for the redirect of one sign-in, on loopback only.
 *
 * The browser's request waits until `finish`, is then sent on to a path without the code, and that page tells
 * the truth. Throws AppError `port_taken`.
 */
export async function openLoopback(options: LoopbackOptions): Promise<Loopback> {
  const { host, port, patienceMs = defaultPatienceMs } = options;
  const sockets = new Set<Socket>();
  let waiting: ServerResponse | undefined;
  let page: Page | undefined;
  let authority = '';
  let round = createRound(options.state);

  function serve(request: IncomingMessage, response: ServerResponse): void {
    const target = targetOf(request, authority);
    if (target?.pathname === donePath && page) {
      response.once('close', round.shown);
      page.send(response);
      return;
    }
    const ours =
      target?.pathname === callbackPath &&
      !waiting &&
      !page &&
      answersState(target.searchParams, round.state);
    if (!target || !ours) {
      notHerePage().send(response, request.method === 'HEAD');
      return;
    }
    waiting = response;
    const { shown, arrived } = round;
    // A person who closes the tab during the exchange gets no page, and no more waiting for it.
    response.once('close', () => {
      if (!response.writableFinished) shown();
    });
    arrived(target.searchParams);
  }

  const create = () => {
    const server = createServer(
      { maxHeaderSize: 16 * 1024, connectionsCheckingInterval: patienceMs / 5, keepAlive: false },
      serve,
    );
    server.headersTimeout = patienceMs;
    server.requestTimeout = patienceMs;
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      if (sockets.size > maxSockets) oldestBut(sockets, waiting?.socket)?.destroy();
    });
    return server;
  };

  const listening = await listenOnLoopback(host, port, create);
  const redirectUri = redirectUriOf(host, listening.port);
  authority = new URL(redirectUri).host;

  function redirectBrowser(location: string): boolean {
    const browser = waiting;
    if (!browser || browser.destroyed) return false;
    const headers = { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' };
    browser.writeHead(303, { ...headers, connection: 'close' }).end();
    return true;
  }

  function sendOn(url: string, state: string): boolean {
    round = createRound(state);
    const sent = redirectBrowser(url);
    waiting = undefined;
    return sent;
  }

  async function close(): Promise<void> {
    round.shown();
    const closed = listening.servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
  }

  async function finish(outcome: Outcome): Promise<void> {
    page = outcome.signedIn ? donePage(outcome) : failedPage(outcome);
    if (redirectBrowser(donePath)) {
      const patience = setTimeout(round.shown, patienceMs);
      await round.pageShown;
      clearTimeout(patience);
    }
    await close();
  }

  return {
    redirectUri,
    get redirect() {
      return round.redirect;
    },
    sendOn,
    finish,
    close,
  };
}

/** One request that is waited for, and the page at its end. */
function createRound(state: string) {
  let arrived: (parameters: URLSearchParams) => void = () => {};
  let shown: () => void = () => {};
  const redirect = new Promise<URLSearchParams>((resolve) => {
    arrived = resolve;
  });
  const pageShown = new Promise<void>((resolve) => {
    shown = resolve;
  });
  return { state, redirect, arrived, pageShown, shown };
}

/** The redirect URI at `port`; without a port, the one to register where any port will do. */
export function redirectUriOf(host: RedirectHost, port: number | undefined): string {
  return new URL(`http://${host}${port === undefined ? '' : `:${port}`}${callbackPath}`).href;
}

/** The URL of a GET that is meant for us: one Host header, ours; a path, not a whole URL. */
function targetOf(request: IncomingMessage, authority: string): URL | undefined {
  const { method, url = '', rawHeaders } = request;
  const hosts = rawHeaders.filter((_, i) => i % 2 === 0 && rawHeaders[i]?.toLowerCase() === 'host');
  if (method !== 'GET' || hosts.length !== 1 || request.headers.host?.toLowerCase() !== authority) {
    return undefined;
  }
  return url.startsWith('/') && URL.canParse(`http://${authority}${url}`)
    ? new URL(`http://${authority}${url}`)
    : undefined;
}

function oldestBut(sockets: Iterable<Socket>, kept: Socket | null | undefined): Socket | undefined {
  for (const socket of sockets) if (socket !== kept) return socket;
  return undefined;
}
