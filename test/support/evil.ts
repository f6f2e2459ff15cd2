import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyOf, type Listening, listen } from '../unit/auth/support/http.ts';

/** Everything that one request brought. */
export interface Caught {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** An origin that nobody should be sent to: it records all that it gets. */
export interface Evil extends Listening {
  readonly caught: Caught[];
  /** All that was caught, as one text to search for secrets. */
  loot(): string;
}

/** In: how it answers; default: 200 with an empty JSON object. */
export async function startEvil(
  answer: (response: ServerResponse, caught: Caught) => void = (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
): Promise<Evil> {
  const caught: Caught[] = [];
  const server = await listen(async (request, response) => {
    const one = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: await bodyOf(request),
    };
    caught.push(one);
    answer(response, one);
  });
  return { ...server, caught, loot: () => JSON.stringify(caught) };
}
