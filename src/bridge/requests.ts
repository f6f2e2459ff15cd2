import type { JsonObject } from '../lib/json.ts';
import type { Backlog } from './backlog.ts';
import { createDeferred, type Deferred } from './deferred.ts';
import { progressTokenOf } from './message.ts';
import { createStop, type Stop } from './stop.ts';

/** A request to the remote, as its asker hands it over: the client, or the bridge itself. */
export interface NewRequest {
  /** The id's source text. */
  readonly id: string;
  readonly method: string;
  readonly json: JsonObject;
  /** What is sent. */
  readonly text: string;
  /** Where the answer goes. Called at most once; `json` only with the remote's own. */
  readonly answerTo: (line: string, json?: JsonObject) => void;
  /** An answer that is better than an error, if there is one. */
  readonly instead?: (() => string | undefined) | undefined;
  /** Sees the remote's answer, also when it comes after one of ours. */
  readonly observe?: ((json: JsonObject, line: string) => void) | undefined;
}

/** A request that waits for its answer. */
export interface InFlight extends NewRequest {
  readonly progressToken: string | number | undefined;
  /** Which connection carries it; `undefined` while it is held back. */
  session: object | undefined;
  /** The server has taken it; its answer comes by another way. */
  delivered: boolean;
  /** When something was last heard of it. Milliseconds, monotonic. */
  touchedAt: number;
  /** When it was last sent, and when a sign of life came on the way of its own answer. Milliseconds, monotonic. */
  sentAt: number;
  aliveAt: number;
  /** It was sent a second time although it may have run. */
  repeated: boolean;
  /** Its asker has got an answer of ours; the remote's own is only looked at. */
  answered: boolean;
  /** Out of the table: nothing more will be said about it. */
  done: boolean;
  /** Ends the exchange that carries it. */
  readonly stop: Stop;
}

/**
 * The table of requests in flight. Whoever asked is answered exactly once, because every answer passes
 * `settle`, `finish` or `answer` here, each of which does something only for an entry that has not been answered,
 * and because an entry leaves the table in one of four ways: the remote answered, it failed, its asker
 * cancelled it, or the bridge closed.
 */
export interface Requests {
  /** Enters a request. `undefined` when one with the same id is in flight already. */
  open(request: NewRequest): InFlight | undefined;
  /** The remote's answer. False when nothing in flight has this id. */
  settle(id: string, json: JsonObject, line: string): boolean;
  /** Answers now, and keeps the entry only so that the remote's own answer is looked at, not passed on. */
  answer(entry: InFlight, line: string): void;
  /** Takes the entry out, with an answer of ours. */
  finish(entry: InFlight, line: string): void;
  /** Takes the entry out without an answer: its asker does not want one any more. */
  cancel(id: string): InFlight | undefined;
  /** A sign of life (progress) for the request with this token. */
  touch(progressToken: unknown): void;
  find(id: string): InFlight | undefined;
  all(): readonly InFlight[];
  /** Settles when nobody waits for an answer. */
  idle(): Promise<void>;
}

export function createRequests(now: () => number, backlog?: Backlog): Requests {
  const rows = new Map<string, InFlight>();
  let idle: Deferred | undefined;

  const remove = (row: InFlight) => {
    row.done = true;
    rows.delete(row.id);
    backlog?.remove(row.text.length);
  };
  const settleIdle = () => {
    if (!idle || [...rows.values()].some((row) => !row.answered)) return;
    idle.resolve();
    idle = undefined;
  };
  const reply = (row: InFlight, line: string, json?: JsonObject) => {
    if (row.answered) return;
    row.answered = true;
    row.answerTo(line, json);
    settleIdle();
  };

  return {
    open(request) {
      if (rows.has(request.id)) return undefined;
      const row: InFlight = {
        ...request,
        progressToken: progressTokenOf(request.json),
        session: undefined,
        delivered: false,
        touchedAt: now(),
        sentAt: 0,
        aliveAt: 0,
        repeated: false,
        answered: false,
        done: false,
        stop: createStop(),
      };
      rows.set(request.id, row);
      backlog?.add(row.text.length);
      return row;
    },
    settle(id, json, line) {
      const row = rows.get(id);
      if (!row) return false;
      remove(row);
      reply(row, line, json);
      row.observe?.(json, line);
      return true;
    },
    answer: (entry, line) => reply(entry, line),
    finish(entry, line) {
      if (entry.done) return;
      remove(entry);
      reply(entry, line);
      entry.stop.stop();
    },
    cancel(id) {
      const row = rows.get(id);
      if (!row) return undefined;
      remove(row);
      row.answered = true;
      settleIdle();
      return row;
    },
    touch(progressToken) {
      if (progressToken === undefined) return;
      for (const row of rows.values()) if (row.progressToken === progressToken) row.touchedAt = now();
    },
    find: (id) => rows.get(id),
    all: () => [...rows.values()],
    idle() {
      const waiting = createDeferred();
      idle ??= waiting;
      const { promise } = idle;
      settleIdle();
      return promise;
    },
  };
}
