import { connect } from 'node:net';

/**
 * One kept HTTP/1.1 connection, one exchange at a time. Raw, because the client shares the cores with the
 * server that it measures.
 */
export function openWire(port) {
  let socket;
  let exchange;

  function open() {
    const read = createReader({
      head: (status, head) => {
        Object.assign(exchange, { status, head });
        if (exchange.onData && status === 200) exchange.resolve(exchange);
      },
      data: (part) => {
        if (exchange.onData) exchange.onData(part);
        else exchange.body += part;
      },
      end: () => exchange.resolve(exchange),
    });
    socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
    socket.on('data', read);
    socket.on('error', () => {});
    socket.on('close', () => {
      socket = undefined;
      exchange?.reject(new Error('the connection was closed'));
    });
  }

  /** Out: status, head, body; with `onData` it settles with the head, and the body goes there. */
  function send(method, path, headers, body = '', onData = undefined) {
    if (!socket) open();
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body ? `content-length: ${Buffer.byteLength(body)}\r\n` : '';
    return new Promise((resolve, reject) => {
      exchange = { resolve, reject, onData, body: '' };
      socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${lines.join('')}${length}\r\n${body}`,
      );
    });
  }

  return { send, close: () => socket?.destroy() };
}

/** Cuts what comes in into heads and the data of bodies, by length or by chunks. */
function createReader(on) {
  let text = '';
  let state = 'head';
  let left = 0;

  const steps = {
    head() {
      const at = text.indexOf('\r\n\r\n');
      if (at < 0) return false;
      const head = take(at, 4);
      const chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
      left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      state = chunked ? 'size' : left > 0 ? 'body' : 'head';
      on.head(Number(head.slice(9, 12)), head);
      if (state === 'head') on.end();
      return true;
    },
    body() {
      const part = take(Math.min(left, text.length), 0);
      if (!part) return false;
      left -= part.length;
      on.data(part);
      if (left === 0) ended();
      return true;
    },
    size() {
      const at = text.indexOf('\r\n');
      if (at < 0) return false;
      left = Number.parseInt(take(at, 2), 16);
      state = 'chunk';
      return true;
    },
    chunk() {
      if (text.length < left + 2) return false;
      const part = take(left, 2);
      state = 'size';
      if (part) on.data(part);
      else ended();
      return true;
    },
  };

  function ended() {
    state = 'head';
    on.end();
  }

  function take(length, skip) {
    const part = text.slice(0, length);
    text = text.slice(length + skip);
    return part;
  }

  return (chunk) => {
    text += chunk;
    while (steps[state]());
  };
}
