import { type AddressInfo, createServer } from 'node:net';

/** A port of a loopback address that nothing listens on now. */
export function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
