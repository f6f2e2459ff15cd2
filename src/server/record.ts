import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Log, LogFields } from '../lib/log.ts';
import type { Principal } from './verify/principal.ts';

/** What is found out about one request on its way, for whoever logs and counts it. */
export interface RequestRecord {
  readonly req: IncomingMessage;
  /** Milliseconds, as `performance.now` has them. */
  readonly startedAt: number;
  /** One of our routes; `none` for a path that is not ours, so that nobody can make up names. */
  route: string;
  /** 0: it was never answered, since the client had gone. */
  status: number;
  /** From its head to its answer; of a stream to its opening. */
  milliseconds: number;
  /** Of the answer's body; of a stream 0. */
  bytes: number;
  principal: Principal | undefined;
  /** The word that it was refused with, one of a fixed set; `undefined`: it was not. */
  refused: string | undefined;
  /** What is worth a line of the log. */
  note: { readonly message: string; readonly fields: LogFields } | undefined;
  /** Tool calls in it, and those of them that named no tool of ours. */
  calls: number;
  unknownCalls: number;
}

export function openRecord(req: IncomingMessage): RequestRecord {
  return {
    req,
    startedAt: performance.now(),
    route: 'none',
    status: 0,
    milliseconds: 0,
    bytes: 0,
    principal: undefined,
    refused: undefined,
    note: undefined,
    calls: 0,
    unknownCalls: 0,
  };
}

/** Says something about a request: in its own line where requests have one, else in a line of its own. */
export function noteRequest(
  { record }: { readonly record?: RequestRecord | undefined },
  log: Log,
  message: string,
  fields: LogFields,
): void {
  if (record) record.note = { message, fields };
  else log.info(message, fields);
}

const traceparent = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}(?:-|$)/;

/** The request's name in logs: the trace that it belongs to (W3C Trace Context, 3.2), else one made for it. */
export function requestId({ headers }: IncomingMessage): string {
  const given = headers.traceparent;
  const trace = typeof given === 'string' ? traceparent.exec(given)?.[1] : undefined;
  return trace && /[^0]/.test(trace) ? trace : randomUUID();
}
