/** JSON-RPC 2.0 as MCP uses it: ids are strings or numbers, never null. */
export type RequestId = string | number;

export interface RpcResult {
  readonly jsonrpc: '2.0';
  readonly id: RequestId;
  readonly result: Readonly<Record<string, unknown>>;
}

export interface RpcError {
  readonly jsonrpc: '2.0';
  /** null: the request's id could not be read. */
  readonly id: RequestId | null;
  readonly error: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export type RpcAnswer = RpcResult | RpcError;

/** JSON-RPC 2.0, 5.1. */
export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
} as const;

export function rpcError(id: RequestId | null, code: number, message: string): RpcError {
  return { jsonrpc: '2.0', id, error: { code, message } };
}

export function isRequestId(value: unknown): value is RequestId {
  return typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
}
