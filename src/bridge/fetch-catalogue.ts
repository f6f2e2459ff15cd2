import type { AccessTokens } from '../lib/access.ts';
import { AppError } from '../lib/errors.ts';
import type { HttpClient } from '../lib/http.ts';
import type { Log } from '../lib/log.ts';
import type { RemoteSettings } from '../lib/settings.ts';
import { createCarrier } from './carrier.ts';
import type { Catalogue } from './catalogue.ts';
import { rpcCodes, rpcErrorLine } from './errors.ts';
import { createLink } from './link.ts';
import { createLists } from './lists.ts';
import { oneLine, readMessages, resultLine } from './message.ts';
import { createRequests } from './requests.ts';
import { createSignInDesk } from './sign-in.ts';
import { defaultTiming } from './timing.ts';

export interface FetchCatalogueOptions {
  readonly remote: RemoteSettings;
  readonly tokens: AccessTokens;
  readonly http: HttpClient;
  readonly log: Log;
  readonly signal?: AbortSignal | undefined;
}

/** How long a server has for its greeting. Milliseconds. */
const connectMs = 20_000;
const farewellMs = 500;

/**
 * Asks a server once what it offers: `initialize` and the lists. For `login`, so that the bridge knows the server
 * before it has ever connected. Throws AppError: why there is no connection.
 */
export async function fetchCatalogue(options: FetchCatalogueOptions): Promise<Catalogue> {
  const { remote, log, signal } = options;
  const { server } = remote;
  const now = () => performance.now();
  const requests = createRequests(now);
  let fetched: Catalogue | undefined;

  const link = createLink({
    ...options,
    now,
    handlers: {
      message(text) {
        for (const message of readMessages(text)) {
          if (message.kind === 'response') requests.settle(message.id, message.json, oneLine(message.text));
          else if (message.kind === 'request') {
            const { id, method } = message;
            const isPing = method === 'ping';
            void carrier.pass(
              isPing ? resultLine(id, '{}') : rpcErrorLine(id, rpcCodes.methodNotFound, 'Method not found'),
            );
          }
        }
      },
      tooLarge: () => log.warn('a list is over the limit and was left out'),
      pressure: () => undefined,
      greeted: (connected) => lists.greeted(connected, true),
      ready: () => {},
      unavailable: () => {},
      dropped: (session, failure) => carrier.lose(session, failure),
    },
  });
  const nobody = async () => ({});
  const desk = createSignInDesk({
    server,
    signIn: undefined,
    hint: '',
    timing: defaultTiming,
    log,
    now,
    canElicit: () => false,
    ask: nobody,
    tell: () => {},
    signedIn: () => {},
  });
  const carrier = createCarrier({
    server,
    link,
    requests,
    desk,
    log,
    now,
    timeoutMs: connectMs,
    timing: defaultTiming,
  });
  const store = {
    load: async () => undefined,
    save: async (catalogue: Catalogue) => {
      fetched = catalogue;
    },
  };
  const lists = createLists({ server, store, log, request: carrier.request, tell: () => {} });

  const stop = () => void link.close(0);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted) stop();
  try {
    await link.ready(connectMs);
    await lists.refresh();
  } finally {
    signal?.removeEventListener('abort', stop);
    carrier.stop();
    await link.close(farewellMs);
  }
  if (!fetched) throw new AppError('server_unreachable', `${server.host} did not tell what it offers`);
  return fetched;
}
