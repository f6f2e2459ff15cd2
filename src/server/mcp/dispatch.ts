import { isObject } from '../../lib/json.ts';
import { display } from '../../lib/text.ts';
import { version } from '../../lib/version.ts';
import type { Principal } from '../verify/principal.ts';
import { anonymousResult, anonymousTool, whoamiResult, whoamiTool } from '../whoami.ts';
import { isRequestId, type RpcAnswer, type RpcResult, rpcCodes, rpcError } from './messages.ts';
import { isRevision, latestRevision } from './versions.ts';

const serverInfo = { name: 'WhoAmI', title: 'Who am I', version };
const signedInTools = { tools: [whoamiTool] };
const anonymousTools = { tools: [anonymousTool] };

/**
 * Answers one message that a client sent.
 *
 * In: parsed JSON and who sent it (`undefined` without authentication). Out: the answer to a request;
 * `undefined` for notifications and answers, which want none; error -32600 for what is no JSON-RPC message.
 * Keeps nothing between two calls, so that no session can see another one's state.
 */
export function answerTo(message: unknown, principal: Principal | undefined): RpcAnswer | undefined {
  if (!isObject(message) || message.jsonrpc !== '2.0') return invalid(message);
  const { id, method, params } = message;
  if (method === undefined) {
    const answersSomething = isRequestId(id) && ('result' in message || 'error' in message);
    return answersSomething ? undefined : invalid(message);
  }
  if (typeof method !== 'string' || (params !== undefined && !isObject(params))) return invalid(message);
  if (id === undefined) return undefined;
  if (!isRequestId(id)) return invalid(message);
  switch (method) {
    case 'tools/call':
      return params?.name === 'whoami'
        ? result(id, { ...(principal ? whoamiResult(principal.identity) : anonymousResult) })
        : rpcError(id, rpcCodes.invalidParams, `Unknown tool: ${display(params?.name, 100)}`);
    case 'tools/list':
      return result(id, principal ? signedInTools : anonymousTools);
    case 'ping':
      return result(id, {});
    case 'initialize':
      return initialize(id, params?.protocolVersion);
    default:
      return rpcError(id, rpcCodes.methodNotFound, `Method not found: ${display(method, 100)}`);
  }
}

/** True for the error that makes the whole POST a bad request. */
export function isInvalidRequest(answer: RpcAnswer | undefined): boolean {
  return answer !== undefined && 'error' in answer && answer.error.code === rpcCodes.invalidRequest;
}

function initialize(id: string | number, asked: unknown): RpcAnswer {
  if (typeof asked !== 'string') {
    return rpcError(id, rpcCodes.invalidParams, 'initialize needs params.protocolVersion');
  }
  return result(id, {
    protocolVersion: isRevision(asked) ? asked : latestRevision,
    capabilities: { tools: {} },
    serverInfo,
  });
}

function result(id: string | number, value: Readonly<Record<string, unknown>>): RpcResult {
  return { jsonrpc: '2.0', id, result: value };
}

function invalid(message: unknown): RpcAnswer {
  const id = isObject(message) && isRequestId(message.id) ? message.id : null;
  return rpcError(id, rpcCodes.invalidRequest, 'Invalid JSON-RPC message');
}
