import type { JsonObject } from '../lib/json.ts';
import { paramsOf } from './message.ts';

/**
 * What the client has set up at the server and a new connection knows nothing of: the logging level and the
 * subscriptions.
 */
export interface Renewals {
  /** Looks at a request of the client's. */
  note(method: string, json: JsonObject): void;
  /** The connection stands: sets everything up again, unless it is the first one. */
  renew(): void;
}

/** In: asks the server; nobody waits for the answer. */
export function createRenewals(ask: (method: string, params: JsonObject) => unknown): Renewals {
  let level: JsonObject | undefined;
  const subscriptions = new Map<unknown, JsonObject>();
  let connections = 0;
  return {
    note(method, json) {
      const params = paramsOf(json);
      if (method === 'logging/setLevel') level = params;
      else if (method === 'resources/subscribe') subscriptions.set(params.uri, params);
      else if (method === 'resources/unsubscribe') subscriptions.delete(params.uri);
    },
    renew() {
      connections++;
      if (connections === 1) return;
      if (level) ask('logging/setLevel', level);
      for (const params of subscriptions.values()) ask('resources/subscribe', params);
    },
  };
}
