import { isObject } from '../../lib/json.ts';
import { answerJson, type Exchange, noteRefusal } from '../exchange.ts';
import type { Principal } from '../verify/principal.ts';
import { readBody } from './body.ts';
import { answerTo, isInvalidRequest } from './dispatch.ts';
import { type RpcAnswer, rpcCodes, rpcError } from './messages.ts';
import { allowsBatches, isRevision, revisions } from './versions.ts';

const maxBatch = 100;

/** What one POST brought and what it is answered with. */
export interface Posted {
  /** The answers to the requests in it, in their order. */
  readonly answers: readonly RpcAnswer[];
  readonly batch: boolean;
  /** The revision that an `initialize` in it settled on. */
  readonly negotiated: string | undefined;
  /** Whether anything but `ping` was in it: pings do not keep a session in use. */
  readonly counts: boolean;
}

/**
 * Reads a POST of either transport and runs what is in it.
 *
 * In: the revision that the session has settled on, if there is one. Out: the answers; `undefined` when the
 * request has been answered with an error already.
 */
export async function runPost(
  x: Exchange,
  principal: Principal | undefined,
  settled?: string,
): Promise<Posted | undefined> {
  const body = await readBody(x);
  if (!body) return undefined;
  const message = body.value;
  const header = x.req.headers['mcp-protocol-version'] as string | undefined;
  if (header !== undefined && !isRevision(header) && !asksForVersion(message)) {
    const known = revisions.join(', ');
    return bad(x, `Unsupported MCP-Protocol-Version (supported: ${known})`);
  }
  if (Array.isArray(message)) return runBatch(x, message, principal, header ?? settled);
  const answer = answerTo(message, principal);
  noteCall(x, message, answer);
  if (isInvalidRequest(answer)) {
    noteRefusal(x, 'invalid_request');
    answerJson(x, 400, answer);
    return undefined;
  }
  return {
    answers: answer ? [answer] : [],
    batch: false,
    negotiated: negotiatedIn(message, answer),
    counts: !isPing(message),
  };
}

function runBatch(
  x: Exchange,
  messages: readonly unknown[],
  principal: Principal | undefined,
  revision: string | undefined,
): Posted | undefined {
  if (!allowsBatches(revision)) return bad(x, `Revision ${revision} has no batches`);
  if (messages.length === 0) return bad(x, 'Empty batch');
  if (messages.length > maxBatch) return bad(x, `Too many messages in a batch: at most ${maxBatch}`);
  const answers = messages.flatMap((message) => {
    if (isInitialize(message)) {
      return rpcError(null, rpcCodes.invalidRequest, 'initialize must not be part of a batch');
    }
    const answer = answerTo(message, principal);
    noteCall(x, message, answer);
    return answer ?? [];
  });
  return { answers, batch: true, negotiated: undefined, counts: !messages.every(isPing) };
}

function bad(x: Exchange, message: string): undefined {
  noteRefusal(x, 'invalid_request');
  answerJson(x, 400, rpcError(null, rpcCodes.invalidRequest, message));
  return undefined;
}

/** One tool is ours: a call that is answered with an error has named another. */
function noteCall({ record }: Exchange, message: unknown, answer: RpcAnswer | undefined): void {
  if (!record || !answer || methodOf(message) !== 'tools/call') return;
  record.calls++;
  if ('error' in answer) record.unknownCalls++;
}

const methodOf = (message: unknown) => (isObject(message) ? message.method : undefined);
const isInitialize = (message: unknown) => methodOf(message) === 'initialize';
const isPing = (message: unknown) => methodOf(message) === 'ping';

/** The two requests by which a client finds out which revisions we speak. */
function asksForVersion(message: unknown): boolean {
  return isInitialize(message) || methodOf(message) === 'server/discover';
}

function negotiatedIn(message: unknown, answer: RpcAnswer | undefined): string | undefined {
  if (!isInitialize(message) || !answer || !('result' in answer)) return undefined;
  return String(answer.result.protocolVersion);
}
