import { type Fragment, fragmentBytes, lastBytes } from '../oversize.ts';

/** The event that stands in for one over the limit. */
export const oversizeEvent = 'mcp-whoami-too-large';

/**
 * Bounds the events of a server-sent event stream. In: the chunks as they come. Out: the same bytes, but an
 * event over `maxBytes` is cut off there and marked, so that its id can be told and the stream goes on.
 */
export function createEventLimit(maxBytes: number): (chunk: Buffer) => Buffer {
  let size = 0;
  let afterNewline = false;
  let skipped: Buffer | undefined;

  return (chunk) => {
    // Nearly every chunk ends where an event does: nothing to look for.
    if (!skipped && chunk.at(-1) === 0x0a && chunk.at(-2) === 0x0a) {
      size = 0;
      afterNewline = true;
      return chunk;
    }
    const marks: Buffer[] = [];
    let rest = chunk;
    if (skipped) {
      const end = boundary(rest, afterNewline, 'first');
      skipped = lastBytes(skipped, end < 0 ? rest : rest.subarray(0, end));
      afterNewline = endsLine(chunk);
      if (end < 0) return Buffer.alloc(0);
      const tail = JSON.stringify(skipped.toString('utf8').trimEnd());
      marks.push(Buffer.from(`\nevent: ${oversizeEvent}\ndata: ${tail}\n\n`));
      skipped = undefined;
      rest = rest.subarray(end);
      size = 0;
    }
    const end = boundary(rest, afterNewline, 'last');
    size = end < 0 ? size + rest.length : rest.length - end;
    afterNewline = endsLine(chunk);
    if (size > maxBytes) skipped = lastBytes(Buffer.alloc(0), rest);
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
const endsLine = (chunk: Buffer) => isNewline(chunk.at(-1));

/** The index behind the first or last blank line in `chunk`, or -1. */
function boundary(chunk: Buffer, afterNewline: boolean, which: 'first' | 'last'): number {
  const at = ['\n\n', '\n\r\n', '\r\r']
    .map((blank) => {
      const found = which === 'first' ? chunk.indexOf(blank) : chunk.lastIndexOf(blank);
      return found < 0 ? -1 : found + blank.length;
    })
    .filter((found) => found >= 0);
  // A blank line may be cut in two by the chunks.
  if (afterNewline && isNewline(chunk[0])) at.push(chunk[0] === 0x0d && chunk[1] === 0x0a ? 2 : 1);
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
      parts.push(text);
      if (!text.includes('\n') && !text.includes('\r')) return;
      const buffered = (parts.length === 1 ? text : parts.join('')).replace(/^\ufeff/, '');
      // A carriage return at the very end may be the first half of a CRLF.
      const held = buffered.endsWith('\r') ? buffered.length - 1 : buffered.length;
      const lines = splitLines(buffered.slice(0, held));
      parts = [(lines.pop() ?? '') + buffered.slice(held)];
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
