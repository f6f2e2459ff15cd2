import { fstatSync } from 'node:fs';
import type { Readable } from 'node:stream';

/** A longer line is no first message of anybody. Bytes. */
const longest = 1024 * 1024;

/**
 * Waits for the first MCP message on an input that may never carry one: lines that are no JSON-RPC object are
 * dropped. Out: true with the message put back into `input`; false when the input ended, or at `signal`.
 */
export function awaitFirstMessage(input: Readable, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let held = Buffer.alloc(0);

    const settle = (found: boolean) => {
      input.off('readable', look);
      input.off('end', ended);
      input.off('error', ended);
      signal?.removeEventListener('abort', ended);
      if (found) input.unshift(held);
      resolve(found);
    };
    const ended = () => settle(false);
    const look = () => {
      for (let chunk = input.read() as Buffer | null; chunk !== null; chunk = input.read() as Buffer | null) {
        held = Buffer.concat([held, chunk]);
      }
      for (let end = held.indexOf(10); end >= 0; end = held.indexOf(10)) {
        if (isMessage(held.subarray(0, end).toString('utf8'))) return settle(true);
        held = held.subarray(end + 1);
      }
      if (held.length > longest) held = Buffer.alloc(0);
    };

    input.on('readable', look);
    input.once('end', ended);
    input.once('error', ended);
    signal?.addEventListener('abort', ended, { once: true });
    if (signal?.aborted) ended();
  });
}

function isMessage(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line.replace(/^\ufeff/, ''));
    return typeof value === 'object' && value !== null && 'jsonrpc' in value;
  } catch {
    return false;
  }
}

/** True when a program may be speaking to us there: a pipe, or the socket that a Node parent passes. */
export function mayCarryMessages(input: { readonly fd?: number; readonly isTTY?: boolean }): boolean {
  if (input.isTTY || input.fd === undefined) return false;
  try {
    const stat = fstatSync(input.fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}
