import { Transform, type TransformCallback } from 'node:stream';

/** An `endpoint` event is the first of its stream, and short. Bytes. */
const longest = 16 * 1024;
const blankLine = /\n\n|\r\n\r\n|\r\r/;

/**
 * Rewrites the `endpoint` event at the beginning of an HTTP+SSE stream (MCP 2024-11-05, transports) and passes
 * everything else on byte by byte. In: `rewrite`, from the address in the event to ours; what it throws ends the
 * stream.
 */
export function rewriteEndpoint(rewrite: (address: string) => string): Transform {
  /** What has come so far; `undefined`: nothing is looked for any more. */
  let held: string | undefined = '';

  /** Out: what may go on, taken off what is held. */
  function release(atEnd: boolean): string {
    let out = '';
    while (held !== undefined) {
      const end = blankLine.exec(held);
      if (!end) {
        if (!atEnd && held.length <= longest) return out;
        return out + giveUp(held);
      }
      const after = end.index + end[0].length;
      const [event, rest] = [held.slice(0, after), held.slice(after)];
      const fields = fieldsOf(event);
      // Comments may come before it; with any other event in its place it does not come at all.
      if (fields.length > 0 && fields.every(([name, value]) => name !== 'event' || value !== 'endpoint')) {
        return out + giveUp(held);
      }
      held = rest;
      if (fields.length === 0) out += event;
      else {
        const address = fields.filter(([name]) => name === 'data').map(([, value]) => value);
        const ours = rewrite(Buffer.from(address.join('\n'), 'latin1').toString());
        return `${out}event: endpoint\ndata: ${ours}\n\n${giveUp(rest)}`;
      }
    }
    return out;
  }

  function giveUp(rest: string): string {
    held = undefined;
    return rest;
  }

  function emit(stream: Transform, atEnd: boolean, done: TransformCallback): void {
    try {
      const out = release(atEnd);
      if (out) stream.push(Buffer.from(out, 'latin1'));
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  return new Transform({
    transform(chunk: Buffer, _, done) {
      if (held === undefined) return done(null, chunk);
      // One character a byte, so that nothing changes on the way through.
      held += chunk.toString('latin1');
      emit(this, false, done);
    },
    flush(done) {
      emit(this, true, done);
    },
  });
}

/** The fields of an event (HTML standard, 9.2.6); none for comments. */
function fieldsOf(event: string): readonly (readonly [name: string, value: string])[] {
  return event
    .split(/\r\n|\n|\r/)
    .filter((line) => line !== '' && !line.startsWith(':'))
    .map((line) => {
      const colon = line.indexOf(':');
      return colon < 0
        ? ([line, ''] as const)
        : ([line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')] as const);
    });
}
