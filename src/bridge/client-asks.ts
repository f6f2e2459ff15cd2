import { randomUUID } from 'node:crypto';
import type { JsonObject } from '../lib/json.ts';
import { notificationLine } from './message.ts';

/** What the bridge itself asks of the client, beside what the remote asks of it. */
export interface ClientAsks {
  /** Asks; the client's answer. `signal` withdraws the question, and the promise then never settles. */
  ask(method: string, params: JsonObject, signal: AbortSignal): Promise<JsonObject>;
  /** The client's answer to `id` (source text). False when the question was not ours. */
  answered(id: string, json: JsonObject): boolean;
}

export function createClientAsks(tell: (line: string) => void): ClientAsks {
  const prefix = `mcp-whoami-${randomUUID()}`;
  const open = new Map<string, (json: JsonObject) => void>();
  let count = 0;
  return {
    ask(method, params, signal) {
      count++;
      const requestId = `${prefix}-${count}`;
      const id = JSON.stringify(requestId);
      return new Promise((resolve) => {
        open.set(id, resolve);
        signal.addEventListener('abort', () => {
          if (open.delete(id)) tell(notificationLine('notifications/cancelled', { requestId }));
        });
        tell(JSON.stringify({ jsonrpc: '2.0', id: requestId, method, params }));
      });
    },
    answered(id, json) {
      const resolve = open.get(id);
      open.delete(id);
      resolve?.(json);
      return resolve !== undefined;
    },
  };
}
