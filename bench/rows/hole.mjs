import { connect, createServer } from 'node:net';

/**
 * A TCP proxy that can swallow: after `swallow()` the connections that are open stay open and carry nothing any
 * more, in either direction, as after a laptop's sleep or a forgotten NAT entry. New connections work.
 */
export async function openHole(port) {
  const pairs = new Set();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const pair = { near, far, silent: false };
    pairs.add(pair);
    carry(pair, near, far);
    carry(pair, far, near);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  function carry(pair, from, to) {
    from.on('data', (bytes) => pair.silent || to.write(bytes));
    from.on('end', () => pair.silent || to.end());
    from.on('error', () => {});
    from.on('close', () => pair.silent || to.destroy());
  }

  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    swallow() {
      for (const pair of pairs) pair.silent = true;
    },
    close() {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
