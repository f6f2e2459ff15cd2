import { type Running, start } from './command.ts';
import type { Orders } from './fault-tools.ts';
import { makeHome } from './home.ts';
import { until } from './until.ts';

export interface Answer {
  /** As it came. */
  readonly line: string;
  readonly json: {
    readonly id?: unknown;
    readonly result?: {
      readonly content?: readonly { readonly text?: string }[];
      readonly isError?: boolean;
    };
    readonly error?: {
      readonly code: number;
      readonly message: string;
      readonly data?: { readonly code?: string };
    };
  };
  /** From the request to the answer. */
  readonly ms: number;
}

/** A raw MCP client over the real binary's stdio, which notices every second answer to one request. */
export interface FaultClient {
  readonly running: Running;
  readonly home: { readonly path: string; readonly env: Record<string, string> };
  /** Every line that came, parsed. */
  readonly messages: Record<string, unknown>[];
  /** Ids that were answered more than once, and answers to nobody. */
  readonly wrong: string[];
  line(text: string): void;
  notify(method: string, params?: object): void;
  request(method: string, params?: object, meta?: object): Promise<Answer>;
  /** `initialize` and `initialized`; settles with the answer. */
  greet(): Promise<Answer>;
  /** Greets, waits for the list of tools, and makes one call: there is a connection. */
  ready(): Promise<void>;
  call(tool: 'count' | 'read' | 'set', orders?: Orders, meta?: object): Promise<Answer>;
  seen(method: string): Record<string, unknown>[];
  /** How many requests have no answer. */
  unanswered(): number;
  /** Closes standard input; the exit code, and how long it took. */
  end(): Promise<{ code: number | null; ms: number }>;
  /** For the end of a test: nothing of it stays. */
  discard(): Promise<void>;
}

export interface FaultClientOptions {
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
}

/** What the person reads: the tool's text, or the error's message. */
export const textOf = ({ json }: Answer): string =>
  json.error?.message ?? json.result?.content?.[0]?.text ?? '';

let numbers = 0;
/** A number for each call of this process: what has an effect can be told apart. */
export const nextNumber = () => ++numbers;

/** Starts `mcp-whoami bridge URL` with a token given by hand, unless `env` says otherwise. */
export function startFaultClient(url: string, options: FaultClientOptions = {}): FaultClient {
  const home = makeHome({ MCP_WHOAMI_TOKEN: 'by-hand' });
  const env = { ...home.env, ...options.env };
  const running = start(['bridge', url, '--log-level', 'debug', ...(options.args ?? [])], { env });
  const messages: Record<string, unknown>[] = [];
  const wrong: string[] = [];
  const waiting = new Map<string, (line: string, json: Answer['json']) => void>();
  let rest: string[] = [];
  running.child.stdout.on('data', (chunk: string) => {
    rest.push(chunk);
    if (!chunk.includes('\n')) return;
    const lines = rest.join('').split('\n');
    rest = [lines.pop() ?? ''];
    for (const line of lines) take(line);
  });

  function take(line: string): void {
    let json: Record<string, unknown>;
    try {
      json = JSON.parse(line) as Record<string, unknown>;
    } catch {
      wrong.push(`no JSON: ${line.slice(0, 100)}`);
      return;
    }
    messages.push(json);
    if (json.method !== undefined || json.id === undefined || json.id === null) return;
    const key = JSON.stringify(json.id);
    const done = waiting.get(key);
    waiting.delete(key);
    if (done) done(line, json);
    else wrong.push(`a second answer, or one to nobody: ${line.slice(0, 100)}`);
  }

  const line = (text: string) => void running.child.stdin.write(`${text}\n`);
  const notify = (method: string, params?: object) =>
    line(JSON.stringify({ jsonrpc: '2.0', method, params }));

  function request(method: string, params: object = {}, meta?: object): Promise<Answer> {
    const id = nextNumber();
    const from = performance.now();
    return new Promise((resolve) => {
      waiting.set(String(id), (text, json) => resolve({ line: text, json, ms: performance.now() - from }));
      line(
        JSON.stringify({
          jsonrpc: '2.0',
          id,
          method,
          params: { ...params, ...(meta ? { _meta: meta } : {}) },
        }),
      );
    });
  }

  async function greet(): Promise<Answer> {
    const clientInfo = { name: 'fault client', version: '1' };
    const answer = await request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo,
    });
    notify('notifications/initialized');
    return answer;
  }

  const call: FaultClient['call'] = (name, orders = {}, meta) =>
    request('tools/call', { name, arguments: { n: nextNumber(), ...orders } }, meta);

  return {
    running,
    home,
    messages,
    wrong,
    line,
    notify,
    request,
    greet,
    call,
    async ready() {
      await greet();
      await until('the list of tools', 10_000, async () =>
        (await request('tools/list')).line.includes('"count"'),
      );
      const answer = await call('read');
      if (textOf(answer).startsWith('ok') === false) throw new Error(answer.line);
    },
    seen: (method) => messages.filter((message) => message.method === method),
    unanswered: () => waiting.size,
    async end() {
      const from = performance.now();
      running.child.stdin.end();
      const { code } = await running.finished;
      return { code, ms: performance.now() - from };
    },
    async discard() {
      running.child.kill('SIGKILL');
      await running.finished;
      home.remove();
    },
  };
}
