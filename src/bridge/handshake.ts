import { AppError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { display } from '../lib/text.ts';
import { ownInitialize } from './greeting.ts';
import type { Failure } from './remote/failure.ts';

export interface Handshake {
  /** The `initialize` request, and its id's source text. */
  readonly text: string;
  readonly id: string;
}

/** For a client that asks before it has introduced itself. */
const ownId = '"mcp-whoami-initialize"';
export const ownHandshake: Handshake = {
  id: ownId,
  text: `{"jsonrpc":"2.0","id":${ownId},"method":"initialize","params":${JSON.stringify(ownInitialize)}}`,
};

/** The server's own refusal of `initialize`. In: the members of its answer. */
export function refusal(server: URL, { error }: JsonObject): Failure {
  const said = display((error as { message?: unknown } | null)?.message ?? 'no reason given');
  const message = `${server.host} refuses to be initialized: ${said}`;
  return { reason: 'status', error: new AppError('not_mcp_server', message) };
}
