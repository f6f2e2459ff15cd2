import { answer, answerJson, type Exchange, refuse, refuseMethod } from '../exchange.ts';
import type { Principal } from '../verify/principal.ts';
import { runPost } from './post.ts';

/**
 * Streamable HTTP (MCP 2025-11-25, transports), without sessions: every request stands for itself, so that any
 * replica can answer it. There is nothing to push, so there is no GET stream, and nothing to DELETE.
 */
export async function handleStreamable(x: Exchange, principal: Principal | undefined): Promise<void> {
  if (x.req.method !== 'POST') return refuseMethod(x, 'POST, OPTIONS');
  const form = formFor(x.req.headers.accept);
  if (!form) return refuse(x, 406, 'not_acceptable', 'Accept application/json and text/event-stream');
  const posted = await runPost(x, principal);
  if (!posted) return;
  const { answers, batch } = posted;
  if (answers.length === 0) return answer(x, 202, {}, '');
  const message = batch ? answers : answers[0];
  if (form === 'json') return answerJson(x, 200, message);
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  };
  answer(x, 200, headers, `event: message\ndata: ${JSON.stringify(message)}\n\n`);
}

/** JSON costs less on both sides; a client must accept both forms, and some name only one. */
function formFor(accept: string | undefined): 'json' | 'sse' | undefined {
  if (accept === undefined || accept === '') return 'json';
  if (/application\/(?:json|\*)|\*\/\*/i.test(accept)) return 'json';
  return /text\/(?:event-stream|\*)/i.test(accept) ? 'sse' : undefined;
}
