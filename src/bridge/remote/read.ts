import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { createEventLimit, createEventParser, oversized } from './event-stream.ts';
import type { Failure } from './failure.ts';
import { lost, tooLarge } from './failure.ts';
import type { RemoteEvents } from './transport.ts';

export const mediaType = (incoming: IncomingMessage): string =>
  (incoming.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

/** What reading reports to. `seen`: bytes have come in. */
export type Reading = Pick<RemoteEvents, 'pressure' | 'tooLarge'> & { seen?: (() => void) | undefined };

/**
 * Hands the chunks of an answer on as they come, no faster than they are wanted. Settles at its end: with
 * `undefined` when it was complete, else with the reason.
 */
function pump(
  incoming: IncomingMessage,
  events: Reading,
  sink: (chunk: Buffer) => void,
): Promise<Error | undefined> {
  return new Promise((resolve) => {
    incoming.on('data', (chunk: Buffer) => {
      events.seen?.();
      sink(chunk);
      const wait = events.pressure();
      if (!wait) return;
      incoming.pause();
      void wait.then(() => incoming.resume());
    });
    incoming.once('end', () => resolve(undefined));
    incoming.once('error', resolve);
    incoming.once('close', () => resolve(new Error('closed before its end')));
  });
}

/** Reads a JSON answer and delivers it. */
export async function readJson(
  incoming: IncomingMessage,
  url: URL,
  maxBytes: number,
  events: Reading,
  deliver: (text: string) => void,
): Promise<Failure | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  const broken = await pump(incoming, events, (chunk) => {
    size += chunk.length;
    if (size > maxBytes) incoming.destroy();
    else chunks.push(chunk);
  });
  if (size > maxBytes) return tooLarge(url, maxBytes);
  if (broken) return lost(url, broken);
  const only = chunks.length === 1 ? chunks[0] : undefined;
  deliver((only ?? Buffer.concat(chunks)).toString('utf8'));
  return undefined;
}

/** Where a stream stood when it ended: what a resumption needs to know. */
export interface StreamEnd {
  readonly broken: Error | undefined;
  readonly lastId: string | undefined;
  readonly retryMs: number | undefined;
}

/** Reads a stream of server-sent events and delivers the messages in it. */
export async function readEvents(
  incoming: IncomingMessage,
  maxBytes: number,
  events: Reading,
  deliver: (text: string) => void,
  requestId?: string,
): Promise<StreamEnd> {
  const decoder = new StringDecoder('utf8');
  const limit = createEventLimit(maxBytes);
  const parser = createEventParser(({ type, data }) => {
    const fragment = oversized(type, data, maxBytes);
    if (fragment) events.tooLarge(fragment, requestId);
    // An event without data is the one that only tells its id (revision 2025-11-25).
    else if (type === 'message' && data !== '') deliver(data);
  });
  const broken = await pump(incoming, events, (chunk) => parser.feed(decoder.write(limit(chunk))));
  return { broken, lastId: parser.lastId, retryMs: parser.retryMs };
}
