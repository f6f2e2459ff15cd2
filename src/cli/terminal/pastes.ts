import { createInterface, type Interface } from 'node:readline';
import { PassThrough, Writable } from 'node:stream';
import type { Context } from '../context.ts';

/** What a person pastes on standard input, or a script writes there. */
export interface Pastes {
  /** Each as a whole, the lines of one paste together. */
  readonly texts: AsyncIterable<string>;
  /** Begins to read. Until then the terminal is there for others, and a process in the background is not stopped. */
  open(): void;
  close(): void;
}

/** Lines that come within this of each other belong together. Milliseconds. */
const togetherMs = 150;
const [bracketsOn, bracketsOff] = ['\u001b[?2004h', '\u001b[?2004l'];

/**
 * Reads standard input until it ends, which ends nothing else.
 *
 * A terminal is read key by key: the kernel cuts a longer line off at 4,096 bytes. What is pasted is not shown. A
 * terminal that marks pastes needs no Enter.
 */
export function readPastes({ stdin, stderr, screen, signals }: Context): Pastes {
  const terminal = stdin.isTTY === true;
  const marks = terminal && screen.can.change;
  const texts = new PassThrough({ objectMode: true });
  let reader: Interface | undefined;
  let lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;

  function hand(): void {
    clearTimeout(timer);
    const text = lines.join('\n');
    lines = [];
    if (text.trim() !== '') texts.write(text);
  }

  function open(): void {
    if (reader) return;
    // The line editor writes its echo to nowhere.
    const output = new Writable({ write: (_chunk, _encoding, done) => done() });
    reader = createInterface({ input: stdin, ...(terminal ? { output } : {}), terminal, historySize: 0 });
    reader.on('line', (line) => {
      lines.push(line);
      clearTimeout(timer);
      timer = setTimeout(hand, togetherMs);
    });
    reader.on('SIGINT', () => signals.interrupt());
    reader.once('close', () => {
      hand();
      texts.end();
    });
    if (!marks) return;
    stderr.write(bracketsOn);
    stdin.on('keypress', endOfPaste);
  }

  function endOfPaste(_text: unknown, key: { name?: string } | undefined): void {
    if (key?.name !== 'paste-end' || !reader) return;
    lines.push(reader.line);
    reader.write(null, { ctrl: true, name: 'u' });
    hand();
  }

  function close(): void {
    if (marks && reader) stderr.write(bracketsOff);
    stdin.off('keypress', endOfPaste);
    reader?.close();
    reader = undefined;
    stdin.pause();
    texts.destroy();
  }

  signals.aborted.addEventListener('abort', close, { once: true });
  return { texts, open, close };
}
