import { nestsDeeperThan } from '../../lib/json.ts';
import { answerJson, type Exchange, linger, noteRefusal, refuse } from '../exchange.ts';
import { rpcCodes, rpcError } from './messages.ts';

const maxBytes = 4 * 1024 * 1024;
const maxDepth = 64;

/** A body; the wrapper tells `null` from "there is none, the request has been answered". */
export interface Body {
  readonly value: unknown;
  /** As it came. */
  readonly text: string;
}

/**
 * Reads the JSON body of a POST. Out: the parsed value; `undefined` when the request has been answered (413,
 * 415, 400 with JSON-RPC error -32700) or its connection is gone.
 */
export async function readBody(x: Exchange): Promise<Body | undefined> {
  const { headers } = x.req;
  if (!isJson(headers['content-type'])) {
    refuse(x, 415, 'unsupported_media_type', 'Content-Type must be application/json, in UTF-8');
    return undefined;
  }
  if (Number(headers['content-length'] ?? 0) > maxBytes) return tooLarge(x);
  if (headers.expect !== undefined) x.res.writeContinue();
  const text = await readText(x);
  if (text === 'too large') return tooLarge(x);
  if (text === 'gone') return undefined;
  try {
    if (nestsDeeperThan(text.utf8, maxDepth)) return unreadable(x, 'Parse error: nested too deeply');
    return { value: JSON.parse(text.utf8), text: text.utf8 };
  } catch {
    return unreadable(x, 'Parse error: not JSON');
  }
}

function readText({ req }: Exchange): Promise<{ utf8: string } | 'too large' | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        req.off('data', take);
        resolve('too large');
      } else chunks.push(chunk);
    };
    req.on('data', take);
    req.once('end', () => {
      const whole = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
      resolve({ utf8: whole.toString('utf8') });
    });
    // After `end` this finds the promise settled.
    req.once('close', () => resolve('gone'));
  });
}

function isJson(contentType = ''): boolean {
  if (contentType === 'application/json') return true;
  return /^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(contentType.trim());
}

function tooLarge(x: Exchange): undefined {
  noteRefusal(x, 'too_large');
  answerJson(x, 413, rpcError(null, rpcCodes.invalidRequest, `Message too large: at most ${maxBytes} bytes`));
  linger(x.req);
  return undefined;
}

function unreadable(x: Exchange, message: string): undefined {
  noteRefusal(x, 'parse_error');
  answerJson(x, 400, rpcError(null, rpcCodes.parseError, message));
  return undefined;
}
