import { AppError } from '../../lib/errors.ts';
import type { RemoteTransport as Wanted } from '../../lib/settings.ts';
import { isTame } from '../message.ts';
import { checkTheUrl, type Failure, isFailure } from './failure.ts';
import { connectHttp } from './http.ts';
import { connectSse } from './sse.ts';
import type { Connect, Connected, TransportKind } from './transport.ts';

const connectors: Readonly<Record<TransportKind, Connect>> = { http: connectHttp, sse: connectSse };

/**
 * Connects by the transport that the server speaks: the wanted one, else the one that worked before, else as the
 * specification says (2025-11-25, "backwards compatibility"): POST `initialize` first, and where that is met
 * with 400, 404 or 405, GET and expect the `endpoint` event. A path that ends in /sse is tried the other way
 * round. No 401, no outage and no timeout is ever taken for an answer to this question.
 */
export function connectBy(remembered: TransportKind | undefined): Connect {
  return async (edges, initialize, signal) => {
    const { server, transport } = edges.remote;
    let last: Failure | undefined;
    for (const kind of kindsToTry(transport, remembered, server.pathname)) {
      const result = await connectors[kind](edges, initialize, signal);
      if (!isFailure(result)) return isTame(result.text) ? result : tooDeep(server, result);
      if (result.reason !== 'wrong_transport' || signal.aborted) return result;
      last = result;
    }
    return transport === 'auto' ? neither(server, last) : wrong(server, transport, last);
  };
}

export function kindsToTry(
  wanted: Wanted,
  remembered: TransportKind | undefined,
  path: string,
): readonly TransportKind[] {
  if (wanted !== 'auto') return [wanted];
  const first = remembered ?? (path.endsWith('/sse') ? 'sse' : 'http');
  return first === 'sse' ? ['sse', 'http'] : ['http', 'sse'];
}

async function tooDeep(server: URL, { transport }: Connected): Promise<Failure> {
  await transport.close(0);
  const error = new AppError(
    'not_mcp_server',
    `${server.host} answers initialize with JSON nested too deeply`,
  );
  return { reason: 'status', error };
}

function neither(server: URL, last: Failure | undefined): Failure {
  const message = `${server.href} speaks neither Streamable HTTP nor HTTP+SSE`;
  return notMcp(message, checkTheUrl, last);
}

function wrong(server: URL, kind: TransportKind, last: Failure | undefined): Failure {
  const name = kind === 'http' ? 'Streamable HTTP' : 'HTTP+SSE';
  return notMcp(`${server.href} does not speak ${name}`, 'leave the choice to us: --transport auto', last);
}

function notMcp(message: string, hint: string, last: Failure | undefined): Failure {
  return {
    reason: 'wrong_transport',
    error: new AppError('not_mcp_server', message, { hint, cause: last?.error }),
  };
}
