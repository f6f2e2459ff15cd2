import { isObject, type JsonObject, nestsDeeperThan } from '../lib/json.ts';

/**
 * One JSON-RPC message as it crosses the bridge. `text` is what goes on, as it came; the rest was read from it
 * for routing only. `id` is the id's source text (`1` and `"1"` differ, huge and fractional numbers keep their
 * digits).
 */
export type Message =
  | {
      readonly kind: 'request';
      readonly id: string;
      readonly method: string;
      readonly json: JsonObject;
      readonly text: string;
    }
  | {
      readonly kind: 'notification';
      readonly method: string;
      readonly json: JsonObject;
      readonly text: string;
    }
  | { readonly kind: 'response'; readonly id: string; readonly json: JsonObject; readonly text: string };

/** Why a text is no message, in JSON-RPC's own codes (section 5.1). */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly code: -32700 | -32600;
  readonly why: string;
}

/**
 * Parsing costs memory for each level, so that a large message of nothing but brackets would take gigabytes.
 * Shorter ones cannot do harm and are not looked at twice. Characters, levels.
 */
const deepFrom = 1024 * 1024;
const deepest = 10_000;

/**
 * Reads a line or an event. A batch (revision 2025-03-26 allows them) gives its messages one by one; everything
 * else gives one.
 */
export function readMessages(text: string): readonly (Message | Unreadable)[] {
  let json: unknown;
  if (text.length > deepFrom && nestsDeeperThan(text, deepest)) {
    return [{ kind: 'unreadable', code: -32600, why: 'the message is nested too deeply' }];
  }
  try {
    json = JSON.parse(text);
  } catch {
    return [{ kind: 'unreadable', code: -32700, why: 'this line is not JSON' }];
  }
  if (!Array.isArray(json)) return [classify(json, text)];
  if (!isTame(text)) return [{ kind: 'unreadable', code: -32600, why: 'the batch is nested too deeply' }];
  if (json.length === 0) return [{ kind: 'unreadable', code: -32600, why: 'the batch is empty' }];
  return json.map((item) => classify(item, JSON.stringify(item)));
}

/** Whether a text may be taken apart and written again: both go down into it level by level. */
export function isTame(text: string): boolean {
  return !nestsDeeperThan(text, 512);
}

function classify(json: unknown, text: string): Message | Unreadable {
  if (!isObject(json)) return { kind: 'unreadable', code: -32600, why: 'a message is a JSON object' };
  const { method } = json;
  const hasId = json.id !== undefined;
  const id = hasId ? idSource(json.id, text) : undefined;
  if (typeof method === 'string') {
    if (!hasId) return { kind: 'notification', method, json, text };
    if (id !== undefined) return { kind: 'request', id, method, json, text };
    return { kind: 'unreadable', code: -32600, why: 'the id of a request is a string or a number' };
  }
  const isResponse = json.result !== undefined || json.error !== undefined;
  if (isResponse && hasId) return { kind: 'response', id: id ?? 'null', json, text };
  return { kind: 'unreadable', code: -32600, why: 'neither request, notification nor response' };
}

function idSource(id: unknown, text: string): string | undefined {
  if (typeof id === 'string') return JSON.stringify(id);
  if (typeof id !== 'number') return undefined;
  // The parsed value of a fraction or of a huge number may have lost digits that its sender counts on.
  return Number.isSafeInteger(id) ? String(id) : (memberSource(text, 'id') ?? String(id));
}

/** The source text of the top-level member `name` of a JSON object that is known to be well-formed. */
export function memberSource(text: string, name: string): string | undefined {
  const span = memberSpan(text, name);
  return span && text.slice(span.start, span.end);
}

/** The message with its id replaced: for a server that gives a huge number back rounded. */
export function withId(text: string, id: string): string {
  const span = memberSpan(text, 'id');
  return span ? text.slice(0, span.start) + id + text.slice(span.end) : text;
}

function memberSpan(text: string, name: string): { start: number; end: number } | undefined {
  let found: { start: number; end: number } | undefined;
  let i = skipSpace(text, 0) + 1;
  for (;;) {
    i = skipSpace(text, i);
    if (text[i] !== '"') return found;
    const keyEnd = stringEnd(text, i);
    const key = text.slice(i, keyEnd);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    // JSON.parse takes the last of several equal members, and so do we.
    if (key === `"${name}"` || (key.includes('\\') && JSON.parse(key) === name)) found = { start, end };
    i = skipSpace(text, end);
    if (text[i] !== ',') return found;
    i++;
  }
}

function skipSpace(text: string, from: number): number {
  let i = from;
  while (i < text.length && text.charCodeAt(i) <= 0x20) i++;
  return i;
}

function stringEnd(text: string, from: number): number {
  let i = from + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i + 1;
}

function valueEnd(text: string, from: number): number {
  let depth = 0;
  let i = from;
  while (i < text.length) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = stringEnd(text, i) - 1;
    else if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) {
      if (depth === 0) return i;
      depth--;
    } else if (depth === 0 && (c === 0x2c || c <= 0x20)) return i;
    i++;
    if (depth === 0 && (c === 0x22 || c === 0x7d || c === 0x5d)) return i;
  }
  return i;
}

/**
 * Line feeds and carriage returns are white space between JSON tokens, never inside a string; on stdio they
 * would end the message.
 */
export function oneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+/g, ' ').trim() : text;
}

/** An answer of our own. `id` and `result` are source texts. */
export function resultLine(id: string, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}

export function notificationLine(method: string, params?: JsonObject): string {
  return JSON.stringify({ jsonrpc: '2.0', method, ...(params ? { params } : {}) });
}

/** The params of a message when they are an object, which MCP wants them to be. */
export function paramsOf(json: JsonObject): JsonObject {
  return isObject(json.params) ? json.params : {};
}

/** The progress token that the sender of a request gave (`_meta.progressToken`). */
export function progressTokenOf(json: JsonObject): string | number | undefined {
  const meta = paramsOf(json)._meta;
  const token = isObject(meta) ? meta.progressToken : undefined;
  return typeof token === 'string' || typeof token === 'number' ? token : undefined;
}

/** The `error` of a JSON-RPC error answer; `undefined` for every other text. */
export function rpcErrorOf(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return isObject(json) && isObject(json.error) && json.jsonrpc === '2.0' ? json.error : undefined;
  } catch {
    return undefined;
  }
}

/** Whether `text` is the answer to the request `id`. */
export function answers(text: string, id: string): boolean {
  const [message] = readMessages(text);
  return message?.kind === 'response' && message.id === id;
}

/** The members of a text that is known to be a message. */
export function readAnswer(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}

/** The id (source text) that a `notifications/cancelled` names. */
export function cancelledId(json: JsonObject, text: string): string {
  const { requestId } = paramsOf(json);
  if (typeof requestId === 'string') return JSON.stringify(requestId);
  if (Number.isSafeInteger(requestId)) return String(requestId);
  return memberSource(memberSource(text, 'params') ?? '{}', 'requestId') ?? '';
}
