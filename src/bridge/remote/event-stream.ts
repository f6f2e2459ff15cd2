import { type Fragment, fragmentBytes, lastBytes } from '../oversize.ts';

const nothing: Buffer = Buffer.alloc(0);

/** The event that stands in for one over the limit. */
export const oversizeEvent = 'mcp-whoami-too-large';

/**
 * Bounds the events of a server-sent event stream. In: the chunks as they come. Out: the same bytes, but an
 * event over `maxBytes` is cut off there and marked, so that its id can be told and the stream goes on.
 */
export function createEventLimit(maxBytes: number): (chunk: Buffer) => Buffer {
  let size = 0;
  let lastByte: number | undefined;
  let recent = nothing;
  let skipped: Buffer | undefined;
  let skippedFromLineStart = false;

  return (chunk) => {
    const before = lastByte;
    lastByte = chunk.at(-1) ?? before;
    // Nearly every chunk ends where an event does: nothing to look for.
    if (!skipped && lastByte === 0x0a && chunk.at(-2) === 0x0a) {
      size = 0;
      recent = nothing;
      return chunk;
    }
    const marks: Buffer[] = [];
    let rest = chunk;
    if (skipped) {
      const end = boundary(rest, before, 'first');
      skipped = lastBytes(skipped, end < 0 ? rest : rest.subarray(0, end));
      if (end < 0) return nothing;
      const tail = JSON.stringify(skipped.toString('utf8').trimEnd());
      // What has passed already and the mark are one event: no blank line between them.
      const newLine = skippedFromLineStart ? '' : '\n';
      marks.push(Buffer.from(`${newLine}event: ${oversizeEvent}\ndata: ${tail}\n\n`));
      skipped = undefined;
      rest = rest.subarray(end);
      size = 0;
      recent = nothing;
    }
    const end = boundary(rest, rest === chunk ? before : undefined, 'last');
    size = end < 0 ? size + rest.length : rest.length - end;
    recent = end < 0 ? lastBytes(recent, rest) : lastBytes(nothing, rest.subarray(end));
    if (size > maxBytes) {
      skipped = recent;
      skippedFromLineStart = isNewline(lastByte);
    }
    return marks.length === 0 ? rest : Buffer.concat([...marks, rest]);
  };
}

/** What is known of an event that `createEventLimit` cut off, from the event that it put in its place. */
export function oversized(type: string, data: string, maxBytes: number): Fragment | undefined {
  if (type === oversizeEvent) {
    const at = data.lastIndexOf('\n');
    return { head: data.slice(0, fragmentBytes), tail: unquote(data.slice(at + 1)) };
  }
  if (data.length <= maxBytes) return undefined;
  return { head: data.slice(0, fragmentBytes), tail: data.slice(-fragmentBytes) };
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

const isNewline = (byte: number | undefined) => byte === 0x0a || byte === 0x0d;

/**
 * The index behind the first or last blank line in `chunk`, or -1. Two line ends in a row make one, also where the
 * chunks cut between them; a carriage return and a line feed are one line end. In: the byte before the chunk.
 */
function boundary(chunk: Buffer, before: number | undefined, which: 'first' | 'last'): number {
  const behind = (second: number) =>
    chunk[second] === 0x0d && chunk[second + 1] === 0x0a ? second + 2 : second + 1;
  const at = ['\n\n', '\n\r', '\r\r']
    .map((pair) => (which === 'first' ? chunk.indexOf(pair) : chunk.lastIndexOf(pair)))
    .filter((found) => found >= 0)
    .map((found) => behind(found + 1));
  const halves = before === 0x0d && chunk[0] === 0x0a;
  if (isNewline(before) && isNewline(chunk[0]) && !halves) at.push(behind(0));
  if (at.length === 0) return -1;
  return which === 'first' ? Math.min(...at) : Math.max(...at);
}

export interface StreamEvent {
  /** `message` when the stream did not say. */
  readonly type: string;
  readonly data: string;
}

export interface EventParser {
  feed(text: string): void;
  /** The id of the last event; `undefined` when none had one. */
  readonly lastId: string | undefined;
  /** The wait before a reconnection that the stream asked for. Milliseconds. */
  readonly retryMs: number | undefined;
}

/** Reads server-sent events (HTML standard, 9.2.6). An event that the stream ends in the middle of is dropped. */
export function createEventParser(onEvent: (event: StreamEvent) => void): EventParser {
  let parts: string[] = [];
  let data: string[] = [];
  let type = '';
  let lastId: string | undefined;
  let retryMs: number | undefined;
  let fresh = true;
  let afterReturn = false;

  const dispatch = () => {
    if (data.length > 0) onEvent({ type: type || 'message', data: data.join('\n') });
    data = [];
    type = '';
  };
  const line = (text: string) => {
    if (text === '') return dispatch();
    const colon = text.indexOf(':');
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'data') data.push(value);
    else if (name === 'event') type = value;
    else if (name === 'id' && !value.includes('\0')) lastId = value;
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) retryMs = Number(value);
  };

  return {
    feed(text) {
      let more = text;
      // The second half of a CRLF that was cut in two ends nothing again.
      if (afterReturn && more.startsWith('\n')) more = more.slice(1);
      if (text === '') return;
      afterReturn = text.endsWith('\r');
      if (fresh && more.startsWith('\ufeff')) more = more.slice(1);
      fresh = false;
      parts.push(more);
      if (!more.includes('\n') && !more.includes('\r')) return;
      const lines = splitLines(parts.length === 1 ? more : parts.join(''));
      parts = [lines.pop() ?? ''];
      for (const each of lines) line(each);
    },
    get lastId() {
      return lastId;
    },
    get retryMs() {
      return retryMs;
    },
  };
}

function splitLines(text: string): string[] {
  return text.includes('\r') ? text.split(/\r\n|\n|\r/) : text.split('\n');
}
