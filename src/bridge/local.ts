import type { Readable, Writable } from 'node:stream';
import { createDeferred, type Deferred } from './deferred.ts';
import { type Fragment, fragmentBytes, lastBytes } from './oversize.ts';

export interface LineHandlers {
  line(text: string): void;
  /** A line over the limit, of which only the ends were kept. */
  tooLarge(fragment: Fragment): void;
  end(): void;
}

export interface LineReader {
  pause(): void;
  resume(): void;
  /** Reads no more, for good. */
  stop(): void;
}

const newline = 0x0a;

/**
 * The stdio framing of MCP: one message a line, ended by a line feed and by nothing else (a lone carriage
 * return, U+2028 and U+0085 belong to the message). A byte order mark, carriage returns before the line feed
 * and empty lines are ignored.
 *
 * In: the stream, the longest line in bytes. Out: the switches of the reading.
 */
export function readLines(input: Readable, maxBytes: number, handlers: LineHandlers): LineReader {
  let parts: Buffer[] = [];
  let size = 0;
  let skipping: { head: string; tail: Buffer } | undefined;

  const finish = (last: Buffer) => {
    if (skipping) {
      const tail = lastBytes(skipping.tail, last).toString('utf8');
      handlers.tooLarge({ head: skipping.head, tail });
    } else {
      const bytes = parts.length === 0 ? last : Buffer.concat([...parts, last]);
      const text = bytes
        .toString('utf8')
        .replace(/^\ufeff/, '')
        .trim();
      if (text) handlers.line(text);
    }
    parts = [];
    size = 0;
    skipping = undefined;
  };

  const keep = (part: Buffer) => {
    if (skipping) {
      skipping.tail = lastBytes(skipping.tail, part);
      return;
    }
    parts.push(part);
    size += part.length;
    if (size <= maxBytes) return;
    const head = Buffer.concat(parts.map((kept) => kept.subarray(0, fragmentBytes))).subarray(
      0,
      fragmentBytes,
    );
    skipping = { head: head.toString('utf8'), tail: parts.reduce(lastBytes, Buffer.alloc(0)) };
    parts = [];
  };

  const onData = (chunk: Buffer | string) => {
    let rest = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    for (let at = rest.indexOf(newline); at >= 0; at = rest.indexOf(newline)) {
      const line = rest.subarray(0, at);
      if (size + line.length > maxBytes) keep(line);
      finish(skipping ? Buffer.alloc(0) : line);
      rest = rest.subarray(at + 1);
    }
    if (rest.length > 0) keep(rest);
  };

  const onEnd = () => {
    if (size > 0) finish(Buffer.alloc(0));
    stop();
    handlers.end();
  };
  const stop = () => {
    input.off('data', onData);
    input.off('end', onEnd);
    input.off('close', onEnd);
    input.pause();
  };
  input.on('data', onData);
  input.once('end', onEnd);
  input.once('close', onEnd);
  input.on('error', () => {});
  input.resume();
  return { stop, pause: () => void input.pause(), resume: () => void input.resume() };
}

export interface Lines {
  /** Writes one message. Never throws; after the reader went away it does nothing. */
  write(line: string): void;
  /** Settles when the reader has caught up; `undefined` while it keeps up. */
  pressure(): Promise<void> | undefined;
  /** Settles when everything written has been handed to the operating system, or cannot be. */
  flushed(): Promise<void>;
}

/** Writes messages as lines. `broken` is called once when nobody reads any more. */
export function createLines(output: Writable, broken: () => void): Lines {
  let open = true;
  let waiting = '';
  let drained: Deferred | undefined;

  const release = () => {
    drained?.resolve();
    drained = undefined;
  };
  const onBroken = () => {
    if (!open) return;
    open = false;
    waiting = '';
    release();
    broken();
  };
  output.on('drain', release);
  output.on('error', onBroken);
  output.on('close', onBroken);

  // Answers that come in together leave in one write.
  const flush = () => {
    const text = waiting;
    waiting = '';
    if (text === '' || !open) return;
    if (!output.write(text)) drained ??= createDeferred();
  };

  return {
    write(line) {
      if (!open) return;
      if (waiting === '') process.nextTick(flush);
      waiting += `${line}\n`;
    },
    pressure: () => drained?.promise,
    flushed: () =>
      new Promise((resolve) => {
        flush();
        if (!open) resolve();
        else output.write('', () => resolve());
      }),
  };
}
