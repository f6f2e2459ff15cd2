import type { EventEmitter } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import type * as Library from 'oidc-provider';
import type { Provider } from 'oidc-provider';
import { AppError, hasCode } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { display } from '../lib/text.ts';
import { isLoopbackHost } from '../lib/url.ts';
import { createAdapters, maxClientMetadata, openProviderStore } from './adapter.ts';
import { createConfiguration } from './configuration.ts';
import { createFront, notFound } from './front.ts';
import { createInteractions } from './interactions.ts';
import { loadKeys } from './keys.ts';
import type { DemoProvider, DemoProviderOptions } from './options.ts';
import { quietLibrary } from './quiet.ts';
import { showPage } from './views.ts';

export type { DemoProvider, DemoProviderOptions } from './options.ts';

const mount = '/oidc';

/**
 * Starts the demo authorization server: OAuth 2.1 and OpenID Connect for two made-up people, on loopback only.
 *
 * Out: the running server. Throws AppError: `usage` (a host that is not loopback, or not there), `port_taken`,
 * `internal` (the state folder cannot be read or written).
 */
export async function openDemoProvider(options: DemoProviderOptions): Promise<DemoProvider> {
  const { log } = options;
  if (!isLoopbackHost(options.host)) {
    throw new AppError(
      'usage',
      `the demo authorization server cannot be opened on ${display(options.host)}`,
      {
        hint: 'it is for this computer only: use 127.0.0.1, or your own authorization server with --issuer',
      },
    );
  }
  const unquiet = quietLibrary(log);
  const { library, keys, store } = await load(options).catch((error: unknown) => {
    unquiet();
    throw error;
  });
  const server = createServer();
  try {
    const origin = await listen(server, options);
    const adapter = createAdapters(
      store,
      () =>
        new library.errors.InvalidClientMetadata(
          `the metadata has more than ${maxClientMetadata} characters`,
        ),
    );
    const port = Number(new URL(origin).port);
    const provider = new library.Provider(
      origin + mount,
      createConfiguration({ library, options, keys, adapter, mount, port }),
    );
    prepare(provider, log);
    const interaction = createInteractions({ provider, store, formKey: keys.form });
    const protocol = provider.callback() as RequestListener;
    server.on('request', createFront({ origin, mount, protocol, interaction, log }));
    let closing: Promise<void> | undefined;
    const close = async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await store.close();
      unquiet();
    };
    return {
      issuer: provider.issuer,
      close() {
        closing ??= close();
        return closing;
      },
    };
  } catch (error) {
    server.close();
    await store.close();
    unquiet();
    throw error;
  }
}

/** The library, which takes a fifth of a second to load and is wanted by few commands, and what we remember. */
async function load({ stateDir, log }: DemoProviderOptions) {
  const library: typeof Library = await import('oidc-provider');
  try {
    const keys = await loadKeys(join(stateDir, 'keys.json'), log);
    return { library, keys, store: await openProviderStore(join(stateDir, 'state.json'), log) };
  } catch (cause) {
    throw new AppError('internal', `the demo authorization server cannot keep its state in ${stateDir}`, {
      hint: 'make this folder writable, or name another configuration folder with MCP_WHOAMI_CONFIG_DIR',
      cause,
    });
  }
}

/** What the library has no setting for: our page for unknown paths, a code in the device URL, its events. */
function prepare(provider: Provider, log: Log): void {
  provider.use(async (ctx, next) => {
    // The code of `verification_uri_complete` fills in the field; the person sends it (RFC 8628 3.3.1, 5.4).
    if (ctx.path === '/device' && ctx.method === 'GET' && ctx.query.user_code !== undefined) {
      ctx.state.userCode = String(ctx.query.user_code);
      ctx.query = {};
    }
    await next();
    if (ctx.status === 404 && !ctx.body && ctx.accepts('html')) {
      showPage(ctx as Library.KoaContextWithOIDC, notFound);
      ctx.status = 404;
    }
  });
  const refused = (_ctx: unknown, error: Library.errors.OIDCProviderError) =>
    log.debug('the demo authorization server refused a request', {
      error: error.error,
      description: error.error_description,
      detail: error.error_detail,
    });
  provider.on('authorization.error', refused);
  provider.on('grant.error', refused);
  provider.on('registration_create.error', refused);
  provider.on('userinfo.error', refused);
  const failed = (error: unknown) =>
    log.warn('the demo authorization server failed to answer', { reason: error });
  provider.on('server_error', (_ctx: unknown, error: unknown) => failed(error));
  // Without a listener the web framework prints on standard error.
  (provider as EventEmitter).on('error', failed);
}

function listen(server: Server, { host, port }: DemoProviderOptions): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(cause, host, port)));
    server.listen({ host: bare, port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : port;
      resolve(`http://${bare.includes(':') ? `[${bare}]` : bare}:${bound}`);
    });
  });
}

function cannotListen(cause: NodeJS.ErrnoException, host: string, port: number): AppError {
  const what = `the demo authorization server cannot listen on ${host}:${port}`;
  if (hasCode(cause, 'EADDRINUSE')) {
    return new AppError('port_taken', `${what}: another program does`, {
      hint: 'stop that program, or choose another port with --idp-port',
      cause,
    });
  }
  if (hasCode(cause, 'EACCES')) {
    return new AppError('port_taken', `${what}: the system does not allow it`, {
      hint: 'choose a port above 1023 with --idp-port',
      cause,
    });
  }
  return new AppError('usage', `${what}: this computer has no such address`, {
    hint: 'use 127.0.0.1',
    cause,
  });
}
