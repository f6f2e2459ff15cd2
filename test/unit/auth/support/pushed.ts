import { randomBytes } from 'node:crypto';

/** What was pushed to an authorization server (RFC 9126): each address serves once, until it runs out. */
export interface PushedRequests {
  push(asked: URLSearchParams): { request_uri: string; expires_in: number };
  /** What the address of an authorization request stands for; undefined: nothing any more. */
  take(query: URLSearchParams): URLSearchParams | undefined;
  /** Time passes: all of them run out. */
  runOut(): void;
}

export function createPushedRequests(): PushedRequests {
  const waiting = new Map<string, URLSearchParams>();
  return {
    push(asked) {
      const request_uri = `urn:ietf:params:oauth:request_uri:${randomBytes(12).toString('hex')}`;
      waiting.set(request_uri, asked);
      return { request_uri, expires_in: 60 };
    },
    take(query) {
      const address = query.get('request_uri') ?? '';
      const asked = waiting.get(address);
      waiting.delete(address);
      return asked?.get('client_id') === query.get('client_id') ? asked : undefined;
    },
    runOut: () => waiting.clear(),
  };
}
