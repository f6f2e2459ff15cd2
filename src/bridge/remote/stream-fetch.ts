import type { IncomingMessage } from 'node:http';
import type { FetchLike } from 'eventsource';
import { createEventLimit } from './event-stream.ts';
import { type Failure, isFailure, networkFailure, notThisTransport } from './failure.ts';
import { mediaType } from './read.ts';
import type { RemoteEdges } from './transport.ts';

/**
 * The `fetch` that an EventSource reads through: our own requests (token, redirects, statuses), events bounded
 * in size, and no more read than the client takes. `seen`: bytes have come in. `failed` hears why, which an EventSource does not tell.
 */
export function createStreamFetch(
  edges: RemoteEdges,
  seen: () => void,
  failed: (failure: Failure) => void,
): FetchLike {
  const { remote, exchange, events } = edges;
  const url = remote.server;

  const refuse = (failure: Failure): never => {
    failed(failure);
    throw failure.error;
  };

  return async (_, { signal }) => {
    const headers = { accept: 'text/event-stream', 'cache-control': 'no-store' };
    const incoming = await exchange.open(url, { headers, signal: signal as AbortSignal });
    if (isFailure(incoming)) {
      const wrong = incoming.reason === 'status' && [400, 404, 405].includes(incoming.status ?? 0);
      return refuse(wrong ? notThisTransport(url, `GET answered with status ${incoming.status}`) : incoming);
    }
    const type = mediaType(incoming);
    if (type !== 'text/event-stream') {
      incoming.destroy();
      return refuse(notThisTransport(url, `content type ${type || 'unknown'}`));
    }
    const limit = createEventLimit(remote.maxMessageBytes);
    const broken = (error: unknown) => failed(networkFailure(error, url));
    const reader = createReader(incoming, broken, async (chunk) => {
      seen();
      await events.pressure();
      return limit(chunk);
    });
    return {
      status: 200,
      url: url.href,
      redirected: false,
      // EventSource compares the type letter by letter.
      headers: { get: (name) => (name.toLowerCase() === 'content-type' ? type : null) },
      body: { getReader: () => reader },
    };
  };
}

type Read = { done: false; value: unknown } | { done: true };

function createReader(
  incoming: IncomingMessage,
  broken: (error: unknown) => void,
  pass: (chunk: Buffer) => Promise<Buffer>,
) {
  let over = false;
  let wake: () => void = () => {};
  incoming.on('readable', () => wake());
  incoming.once('end', () => {
    over = true;
    wake();
  });
  incoming.once('error', broken);
  incoming.once('close', () => {
    over = true;
    wake();
  });

  async function read(): Promise<Read> {
    for (;;) {
      const chunk = incoming.read() as Buffer | null;
      if (chunk) return { done: false, value: await pass(chunk) };
      if (over) return { done: true };
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
  const cancel = async () => void incoming.destroy();
  return { read, cancel };
}
