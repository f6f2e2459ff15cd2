import { EventSource } from 'eventsource';
import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import { createDeferred } from '../deferred.ts';
import { answers, readAnswer } from '../message.ts';
import { oversized, oversizeEvent } from './event-stream.ts';
import { type Failure, isFailure, lost, notThisTransport } from './failure.ts';
import { createStreamFetch } from './stream-fetch.ts';
import { type Connect, type Connected, createPings, type RemoteTransport } from './transport.ts';
import { createWitness } from './witness.ts';

/** The first event names the endpoint; a server that speaks another transport never sends it. Milliseconds. */
const endpointMs = 5_000;
/** For what is not answered on the stream; a server may hold the POST of a request until it has run. Milliseconds. */
const deliveryMs = 10_000;

/**
 * HTTP with server-sent events (revision 2024-11-05, basic/transports): one stream for all that comes, POSTs
 * for all that goes. The stream ends at its first error: whoever opened it decides about another one.
 */
export const connectSse: Connect = async (edges, initialize, signal) => {
  const { remote, exchange, events, greetingMs } = edges;
  const stream = createWitness(edges.now);
  const nextPing = createPings();
  const url = remote.server;
  const endpoint = createDeferred<URL | Failure>();
  const greeting = createDeferred<string | Failure>();
  let phase: 'endpoint' | 'greeting' | 'open' | 'closed' = 'endpoint';
  let why: Failure | undefined;

  const source = new EventSource(url, {
    fetch: createStreamFetch(edges, stream.seen, (failure) => {
      why ??= failure;
    }),
  });
  const end = (failure: Failure) => {
    const was = phase;
    if (was === 'closed') return;
    phase = 'closed';
    source.close();
    signal.removeEventListener('abort', abandon);
    endpoint.resolve(failure);
    greeting.resolve(failure);
    if (was === 'open') events.dropped(failure);
  };
  const abandon = () => end(lost(url, signal.reason));
  signal.addEventListener('abort', abandon, { once: true });

  source.onerror = () => end(why ?? lost(url));
  source.addEventListener('endpoint', (event) => {
    if (phase !== 'endpoint') return;
    phase = 'greeting';
    stream.opened();
    endpoint.resolve(readEndpoint(String(event.data), url));
  });
  source.onmessage = (event) => {
    const text = String(event.data);
    const fragment = oversized('message', text, remote.maxMessageBytes);
    if (fragment) events.tooLarge(fragment);
    else if (phase === 'greeting' && answers(text, initialize.id)) greeting.resolve(text);
    else if (phase !== 'closed') events.message(text);
  };
  source.addEventListener(oversizeEvent, (event) => {
    const fragment = oversized(oversizeEvent, String(event.data), remote.maxMessageBytes);
    if (fragment) events.tooLarge(fragment);
  });

  const send: RemoteTransport['send'] = async (outgoing) => {
    const target = await endpoint.promise;
    if (isFailure(target)) return target;
    const incoming = await exchange.open(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: outgoing.text,
      headersTimeoutMs: outgoing.id === undefined ? deliveryMs : 0,
      started: outgoing.stop?.attach,
    });
    if (!isFailure(incoming)) {
      incoming.resume();
      return undefined;
    }
    return incoming.status === 404 ? { ...incoming, reason: 'session' } : incoming;
  };

  async function ping(): Promise<void> {
    const failure = await send({ text: nextPing() });
    if (failure?.reason === 'session') end(failure);
  }

  /** Waits for one step of the opening, no longer than `ms`. */
  async function within<T>(ms: number, step: Promise<T | Failure>, late: Failure): Promise<T | Failure> {
    const timer = setTimeout(() => end(late), ms);
    const result = await step;
    clearTimeout(timer);
    return result;
  }

  const target = await within(endpointMs, endpoint.promise, notThisTransport(url, 'no endpoint event came'));
  if (isFailure(target)) {
    end(target);
    return target;
  }
  void send(initialize).then((failure) => {
    if (failure && phase === 'greeting') end(failure);
  });
  const text = await within(greetingMs, greeting.promise, lost(url));
  if (typeof text !== 'string') return text;
  phase = 'open';
  signal.removeEventListener('abort', abandon);
  const transport: RemoteTransport = {
    kind: 'sse',
    sharedStream: true,
    send,
    listen: async () => {},
    lastSign: stream.lastSign,
    ping: () => void ping(),
    close: async () => {
      phase = 'closed';
      source.close();
    },
  };
  return { transport, text, json: readAnswer(text) } satisfies Connected;
};

/**
 * The URL that the `endpoint` event names, which is where the token and every call will go: within the origin
 * of the stream, or nowhere.
 */
function readEndpoint(data: string, stream: URL): URL | Failure {
  const refuse = (): Failure => {
    // The origin alone: the rest is the server's text, and may hold what we sent it.
    const where = URL.canParse(data, stream.href) ? new URL(data, stream.href).origin : 'no address';
    const message = `${stream.host} wants its messages sent to ${display(where, 120)}, which is not within ${stream.origin}`;
    return {
      reason: 'status',
      error: new AppError('insecure_url', message, {
        hint: 'the server is at fault, or hostile: do not trust it',
      }),
    };
  };
  if (!URL.canParse(data, stream.href)) return refuse();
  const endpoint = new URL(data, stream.href);
  return endpoint.origin === stream.origin && !endpoint.username && !endpoint.password ? endpoint : refuse();
}
