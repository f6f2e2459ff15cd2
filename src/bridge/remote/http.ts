import type { IncomingMessage } from 'node:http';
import { isObject } from '../../lib/json.ts';
import { pause } from '../deferred.ts';
import { answers, memberSource, readAnswer, rpcErrorOf, withId } from '../message.ts';
import { createBackoff } from './backoff.ts';
import type { ExchangeOptions } from './exchange.ts';
import { type Failure, isFailure, lost, noAnswer, notThisTransport } from './failure.ts';
import { createPinger } from './pinger.ts';
import { mediaType, readEvents, readJson } from './read.ts';
import {
  type Connect,
  type Connected,
  createPings,
  type Outgoing,
  type RemoteTransport,
} from './transport.ts';
import { createWitness } from './witness.ts';

/** How long messages wait for the stream of server messages to stand. Milliseconds. */
const listenMs = 2_000;
/** The wait before a stream is resumed, when the server does not say; and the bounds of what it may say. */
const resume = { defaultMs: 1_000, leastMs: 20, mostMs: 60_000 };
const deliveryMs = 10_000;

const both = 'application/json, text/event-stream';
const visible = /^[\x21-\x7e]{1,1024}$/;

/** Streamable HTTP (revisions 2025-03-26 to 2025-11-25, basic/transports). */
export const connectHttp: Connect = async (edges, initialize, signal) => {
  const { remote, exchange, events, log, greetingMs } = edges;
  const url = remote.server;
  const session: Record<string, string> = {};
  const ended = new AbortController();

  type Ends = Pick<ExchangeOptions, 'signal' | 'started' | 'lane' | 'connected' | 'renew'>;
  const post = (text: string, limitMs: number, ends: Ends) =>
    exchange.open(url, {
      method: 'POST',
      headers: { accept: both, 'content-type': 'application/json', ...session },
      body: text,
      headersTimeoutMs: limitMs,
      ...ends,
    });
  const get = (lastId: string | undefined, stop: AbortSignal) =>
    exchange.open(url, {
      headers: { accept: 'text/event-stream', ...session, ...(lastId ? { 'last-event-id': lastId } : {}) },
      signal: stop,
    });

  const stream = createWitness(edges.now);
  let spokeAt = Number.NEGATIVE_INFINITY;
  const nextPing = createPings();
  let open = 0;
  const pinger = createPinger({
    http: edges.http,
    now: edges.now,
    busy: () => open > 0,
    async send(lane, connected) {
      const signal = ended.signal;
      const answer = await post(nextPing(), deliveryMs, { lane, connected, signal, renew: false });
      if (isFailure(answer) && isForgotten(answer)) events.dropped({ ...answer, reason: 'session' });
      return answer;
    },
  });

  /** Takes the answer to a POST to its end, resuming a stream that the server cut (2025-11-25, "resumability"). */
  async function receive(
    first: IncomingMessage,
    outgoing: Outgoing,
    deliver: (text: string) => void,
  ): Promise<Failure | undefined> {
    const waiting = () =>
      !(outgoing.stop?.stopped ?? ended.signal.aborted) && (outgoing.waiting?.() ?? false);
    const type = mediaType(first);
    const reading = { ...events, seen: outgoing.alive };
    if (type === 'application/json') {
      const failure = await readJson(first, url, remote.maxMessageBytes, reading, deliver);
      return failure ?? (waiting() ? noAnswer(url) : undefined);
    }
    if (type !== 'text/event-stream') {
      first.resume();
      // 202 to a request: its answer may come on the stream of server messages.
      return first.statusCode === 202
        ? undefined
        : notThisTransport(url, `content type ${type || 'unknown'}`);
    }
    let answer = first;
    let lastId: string | undefined;
    for (;;) {
      const end = await readEvents(answer, remote.maxMessageBytes, reading, deliver, outgoing.id);
      lastId = end.lastId ?? lastId;
      if (!waiting()) return undefined;
      if (lastId === undefined || !visible.test(lastId)) return lost(url, end.broken);
      const stop = outgoing.stop?.signal ?? ended.signal;
      await pause(end.broken ? 0 : resumeMs(end.retryMs), stop);
      if (!waiting()) return undefined;
      const again = await get(lastId, stop);
      if (isFailure(again)) return lost(url, again.error);
      answer = again;
    }
  }

  async function send(outgoing: Outgoing): Promise<Failure | undefined> {
    if (outgoing.id === undefined) return submit(outgoing);
    // A stream that speaks by itself needs no pings beside it.
    if (edges.now() - spokeAt > freshMs) pinger.standBy();
    open++;
    return submit(outgoing).finally(() => {
      open--;
    });
  }

  async function submit(outgoing: Outgoing): Promise<Failure | undefined> {
    const isRequest = outgoing.id !== undefined;
    const ends = outgoing.stop ? { started: outgoing.stop.attach } : { signal: ended.signal };
    const incoming = await post(outgoing.text, isRequest ? 0 : deliveryMs, ends);
    if (!isFailure(incoming)) {
      if (isRequest) return receive(incoming, outgoing, events.message);
      incoming.resume();
      return undefined;
    }
    if (isForgotten(incoming)) return { ...incoming, reason: 'session' };
    const answer = outgoing.id === undefined ? undefined : inBandAnswer(incoming, outgoing.id);
    if (answer === undefined) return incoming;
    events.message(answer);
    return undefined;
  }

  /** The stream of what the server says by itself, opened again as often as it ends. */
  async function listenOn(opened: () => void): Promise<void> {
    const backoff = createBackoff();
    let lastId: string | undefined;
    backoff.next();
    while (!ended.signal.aborted) {
      const incoming = await get(lastId, ended.signal);
      opened();
      if (ended.signal.aborted) return;
      if (isFailure(incoming)) {
        if (isForgotten(incoming)) {
          return events.dropped({ ...incoming, reason: 'session' });
        }
        // 405: the server has nothing to say by itself. A refusal is told by the next request.
        if (!['unreachable', 'lost', 'busy'].includes(incoming.reason) && (incoming.status ?? 0) < 500)
          return;
        log.debug('no stream of server messages', { reason: incoming.error });
        await pause(backoff.next(), ended.signal);
      } else if (mediaType(incoming) !== 'text/event-stream') {
        return void incoming.resume();
      } else {
        edges.http.retire();
        stream.opened();
        const seen = () => {
          spokeAt = edges.now();
          stream.seen();
        };
        const reading = { ...events, seen };
        const end = await readEvents(incoming, remote.maxMessageBytes, reading, events.message);
        stream.closed();
        lastId = end.lastId && visible.test(end.lastId) ? end.lastId : lastId;
        if (end.lastId !== undefined) backoff.reset();
        await pause(end.retryMs === undefined ? backoff.next() : resumeMs(end.retryMs), ended.signal);
      }
    }
  }

  const transport: RemoteTransport = {
    kind: 'http',
    sharedStream: false,
    send,
    listen: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, listenMs);
        void listenOn(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
    lastSign: (sentAt) => Math.max(stream.lastSign(sentAt), pinger.lastSign(sentAt)),
    ping: pinger.ping,
    async close(limitMs) {
      ended.abort();
      pinger.close();
      if (!session['mcp-session-id'] || limitMs <= 0) return;
      const gone = AbortSignal.timeout(limitMs);
      const incoming = await exchange.open(url, {
        method: 'DELETE',
        headers: { ...session },
        signal: gone,
        renew: false,
      });
      if (!isFailure(incoming)) incoming.resume();
    },
  };

  function isForgotten({ status }: Failure): boolean {
    return status === 404 && session['mcp-session-id'] !== undefined;
  }

  async function greet(): Promise<Connected | Failure> {
    const incoming = await post(initialize.text, greetingMs, { signal });
    if (isFailure(incoming)) {
      const inBand = inBandAnswer(incoming, initialize.id);
      if (inBand !== undefined) return connected(inBand);
      const refused = [400, 404, 405].includes(incoming.status ?? 0);
      return refused ? notThisTransport(url, `POST answered with status ${incoming.status}`) : incoming;
    }
    const id = incoming.headers['mcp-session-id'];
    if (typeof id === 'string' && visible.test(id)) session['mcp-session-id'] = id;
    let text: string | undefined;
    const failure = await new Promise<Failure | undefined>((resolve) => {
      const outgoing = { ...initialize, waiting: () => text === undefined };
      const take = (message: string) => {
        if (text !== undefined || !answers(message, initialize.id)) return events.message(message);
        text = message;
        resolve(undefined);
      };
      void receive(incoming, outgoing, take).then(resolve);
    });
    if (text !== undefined) return connected(text);
    return failure ?? notThisTransport(url, 'no answer to initialize');
  }

  function connected(text: string): Connected {
    const json = readAnswer(text);
    const version = isObject(json.result) ? json.result.protocolVersion : undefined;
    if (typeof version === 'string' && visible.test(version)) session['mcp-protocol-version'] = version;
    return { transport, text, json };
  }

  return greet();
};

/** A stream that said something in this time says something often. Milliseconds. */
const freshMs = 3_000;

const resumeMs = (asked: number | undefined) =>
  Math.min(Math.max(asked ?? resume.defaultMs, resume.leastMs), resume.mostMs);

/** A refusal whose body is a JSON-RPC error answers the request; one without an id means the request at hand. */
function inBandAnswer({ body }: Failure, id: string): string | undefined {
  const error = body ? rpcErrorOf(body) : undefined;
  if (!body || !error) return undefined;
  const given = memberSource(body, 'id');
  return given === id ? body : given === undefined ? undefined : withId(body, id);
}
