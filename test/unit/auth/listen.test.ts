import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { listenOnLoopback, type RedirectHost } from '../../../src/auth/redirect/listen.ts';
import { refusal } from './support/world.ts';

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

/** A machine without some addresses: whoever listens there is refused as the system would. */
function machine(absent: readonly string[], code = 'EADDRNOTAVAIL') {
  const create = () => {
    const server = createServer();
    open.push(server);
    const { listen } = server;
    server.listen = ((options: { host: string }, done: () => void) => {
      if (!absent.includes(options.host)) return listen.call(server, options as never, done as never);
      const error = Object.assign(new Error(`listen ${code}: ${options.host}`), { code });
      setImmediate(() => server.emit('error', error));
      return server;
    }) as Server['listen'];
    return server;
  };
  return (host: RedirectHost, port = 0) => listenOnLoopback(host, port, create);
}
const addresses = (servers: readonly Server[]) =>
  servers.map((server) => (server.address() as { address: string }).address);

describe('a machine without IPv6', () => {
  it.each(['EADDRNOTAVAIL', 'EAFNOSUPPORT'])('%s: [::1] is told, with what to choose', async (code) => {
    const error = await refusal(machine(['::1'], code)('[::1]'));
    expect(error).toMatchObject({
      code: 'port_taken',
      message: 'this machine has no IPv6: no [::1] to take the redirect at',
      hint: 'choose --redirect-host 127.0.0.1',
    });
  });

  it('localhost is its IPv4 address', async () => {
    const { servers, port } = await machine(['::1'])('localhost');
    expect(addresses(servers)).toEqual(['127.0.0.1']);
    expect(port).toBeGreaterThan(0);
  });
});

describe('a machine with IPv6 alone', () => {
  it('127.0.0.1 is told, with what to choose', async () => {
    const error = await refusal(machine(['127.0.0.1'])('127.0.0.1'));
    expect(error.message).toContain('no IPv4: no 127.0.0.1');
    expect(error.hint).toBe('choose --redirect-host [::1]');
  });

  it('localhost is its IPv6 address', async (context) => {
    const result = await machine(['127.0.0.1'])('localhost').catch(() => undefined);
    if (!result) return context.skip('no IPv6 here');
    expect(addresses(result.servers)).toEqual(['::1']);
  });

  it('without any loopback address, that is told', async () => {
    const error = await refusal(machine(['127.0.0.1', '::1'])('localhost'));
    expect(error.message).toBe('this machine has no loopback address to take the redirect at');
  });
});

it('a port that is free on one address of localhost only: another one is taken, or it is told', async (context) => {
  const squatter = createServer();
  const port = await new Promise<number>((resolve) =>
    squatter
      .once('error', () => resolve(0))
      .listen({ host: '::1', port: 0 }, () => resolve((squatter.address() as { port: number }).port)),
  );
  if (port === 0) return context.skip('no IPv6 here');
  open.push(squatter);
  const error = await refusal(machine([])('localhost', port));
  expect(error).toMatchObject({ code: 'port_taken', hint: expect.stringContaining('--redirect-port') });
  // Nothing is left listening on the other address.
  const again = await machine([])('127.0.0.1', port);
  expect(again.port).toBe(port);
});
