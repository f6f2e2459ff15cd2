import type { Server } from 'node:http';
import { AppError, hasCode, reasonOf } from '../../lib/errors.ts';
import type { SignInSettings } from '../../lib/settings.ts';

export type RedirectHost = SignInSettings['redirectHost'];

/** The addresses behind a redirect host. A browser may try either one of `localhost`: both must be ours. */
function addressesOf(host: RedirectHost): readonly string[] {
  if (host === '[::1]') return ['::1'];
  return host === 'localhost' ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
}

/**
 * Makes servers listen on one loopback port, `create` making one for each address that this machine has.
 *
 * In: port 0 for any free one. Out: the port and the servers. Throws AppError `port_taken`, also where the machine
 * has no such address.
 */
export async function listenOnLoopback(
  host: RedirectHost,
  port: number,
  create: () => Server,
): Promise<{ port: number; servers: readonly Server[] }> {
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = [];
    let bound = port;
    try {
      for (const address of addressesOf(host)) {
        const server = create();
        const got = await listenIfThere(server, address, bound);
        if (got === undefined) continue;
        bound = got;
        servers.push(server);
      }
    } catch (error) {
      for (const server of servers) server.close();
      // The port that is free on one address may be taken on the other.
      if (port === 0 && servers.length > 0 && attempt < 5) continue;
      throw taken(error, host, bound);
    }
    if (servers.length === 0) throw absent(host);
    return { port: bound, servers };
  }
}

/** Out: the port; undefined where the machine has no such address at all. */
async function listenIfThere(server: Server, address: string, port: number): Promise<number | undefined> {
  try {
    return await listen(server, address, port);
  } catch (error) {
    if (hasCode(error, 'EADDRNOTAVAIL', 'EAFNOSUPPORT')) return undefined;
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

function absent(host: RedirectHost): AppError {
  const [family, other] = host === '127.0.0.1' ? ['IPv4', '[::1]'] : ['IPv6', '127.0.0.1'];
  const message =
    host === 'localhost'
      ? 'this machine has no loopback address'
      : `this machine has no ${family}: no ${host}`;
  return new AppError('port_taken', `${message} to take the redirect at`, {
    hint: host === 'localhost' ? 'bring its loopback interface up' : `choose --redirect-host ${other}`,
  });
}
