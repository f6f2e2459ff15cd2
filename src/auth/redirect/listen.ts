import type { Server } from 'node:http';
import { AppError, hasCode, reasonOf } from '../../lib/errors.ts';
import type { SignInSettings } from '../../lib/settings.ts';

export type RedirectHost = SignInSettings['redirectHost'];

/** The addresses behind a redirect host. A browser may try either one of `localhost`: both must be ours. */
function addressesOf(host: RedirectHost): readonly [string, ...string[]] {
  if (host === '[::1]') return ['::1'];
  return host === 'localhost' ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
}

/**
 * Makes servers listen on one loopback port, `create` making one for each address.
 *
 * In: port 0 for any free one. Out: the port and the servers. Throws AppError `port_taken`.
 */
export async function listenOnLoopback(
  host: RedirectHost,
  port: number,
  create: () => Server,
): Promise<{ port: number; servers: readonly Server[] }> {
  const [first, ...others] = addressesOf(host);
  for (let attempt = 1; ; attempt++) {
    const main = create();
    const bound = await listen(main, first, port).catch((error: unknown) => {
      throw taken(error, first, port);
    });
    const servers = [main];
    try {
      for (const address of others) {
        const server = create();
        if (await listensIfItCan(server, address, bound)) servers.push(server);
      }
      return { port: bound, servers };
    } catch (error) {
      for (const server of servers) server.close();
      if (port !== 0 || attempt === 5) throw taken(error, host, bound);
    }
  }
}

/** False where the machine has no such address at all. */
async function listensIfItCan(server: Server, address: string, port: number): Promise<boolean> {
  try {
    await listen(server, address, port);
    return true;
  } catch (error) {
    if (hasCode(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT')) return false;
    throw error;
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
}

function taken(error: unknown, host: string, port: number): AppError {
  const why = hasCode(error, 'EADDRINUSE') ? 'something else listens there' : reasonOf(error);
  return new AppError('port_taken', `port ${port} on ${host} cannot take the redirect: ${why}`, {
    cause: error,
    hint: 'free it, or choose another one with --redirect-port (it must be registered at the provider)',
  });
}
