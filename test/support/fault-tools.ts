/** A JSON-RPC message of the client's, as the model server reads it. */
export interface Asked {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: {
    readonly name?: string;
    readonly arguments?: Orders;
    readonly _meta?: { readonly progressToken?: string | number };
    readonly [other: string]: unknown;
  };
}

/** What a call tells the model server to do, by its arguments. */
export interface Orders {
  /** The call's number: each has one of its own. */
  readonly n?: number;
  /** The answer comes so much later. Milliseconds. */
  readonly ms?: number;
  /** A progress notification so often until then. Milliseconds. */
  readonly progressMs?: number;
  /** How many characters the answer has in addition. */
  readonly size?: number;
  readonly how?: /** never answered */
    | 'silent'
    /** the answer twice */
    | 'twice'
    /** an answer to an id that nobody used, before the right one */
    | 'stranger'
    /** an event that is no JSON and names nobody, before the answer */
    | 'garbage'
    /** an event that is no JSON, instead of the answer */
    | 'garbage-only'
    /** the first `cutAt` bytes of the answer's event, then the end of the connection */
    | 'half'
    /** held back until the next call, and then sent behind that one's answer */
    | 'reorder'
    /** `burst` notifications, numbered, before the answer */
    | 'burst';
  readonly cutAt?: number;
  readonly burst?: number;
}

const tool = (name: string, annotations: object) => ({
  name,
  description: `for tests: ${name}`,
  inputSchema: { type: 'object' },
  annotations,
});

/** `count` may not run twice; the others may. */
export const tools = [
  tool('count', { readOnlyHint: false, idempotentHint: false }),
  tool('read', { readOnlyHint: true }),
  tool('set', { readOnlyHint: false, idempotentHint: true }),
];

export const greeting = {
  protocolVersion: '2025-06-18',
  capabilities: {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    logging: {},
  },
  serverInfo: { name: 'model', version: '1.0.0' },
};

export const answerLine = (id: Asked['id'], result: object) => JSON.stringify({ jsonrpc: '2.0', id, result });

export const notice = (method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', method, params });

/** The answer to everything that is no call. `undefined`: an unknown method. */
export function plainAnswer({ method, params }: Asked): object | undefined {
  switch (method) {
    case 'initialize':
      return greeting;
    case 'tools/list':
      return { tools };
    case 'resources/list':
      return { resources: [{ uri: 'model:one', name: 'one' }] };
    case 'resources/templates/list':
      return { resourceTemplates: [] };
    case 'resources/read':
      return { contents: [{ uri: String(params?.uri), text: 'content' }] };
    case 'ping':
    case 'logging/setLevel':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return {};
    default:
      return undefined;
  }
}

export function callResult({ n = 0, size = 0 }: Orders): object {
  return { content: [{ type: 'text', text: `ok ${n}${size > 0 ? ` ${'x'.repeat(size)}` : ''}` }] };
}
