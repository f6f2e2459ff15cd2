import { PassThrough } from 'node:stream';
import { type Bridge, type BridgeOptions, openBridge } from '../../../../src/bridge/bridge.ts';
import type { Catalogue, CatalogueStore } from '../../../../src/bridge/catalogue.ts';
import type { AccessTokens } from '../../../../src/lib/access.ts';
import { AppError } from '../../../../src/lib/errors.ts';
import { createHttpClient } from '../../../../src/lib/http.ts';
import { createLog } from '../../../../src/lib/log.ts';
import { Secret } from '../../../../src/lib/secret.ts';
import type { RemoteSettings } from '../../../../src/lib/settings.ts';
import type { Json } from './remote.ts';

export const hint = 'mcp-whoami login http://server.example/mcp';

/** A source of tokens that a test can turn: signed out, signed in, renewed. */
export function createTokens(
  first?: string,
): AccessTokens & { value: string | undefined; renewals: number; next: string | undefined } {
  const tokens = {
    value: first,
    renewals: 0,
    next: undefined as string | undefined,
    current: async () => (tokens.value === undefined ? undefined : new Secret(tokens.value)),
    renew: async (rejected?: Secret) => {
      if (tokens.value !== undefined && rejected?.reveal() !== tokens.value) return new Secret(tokens.value);
      tokens.renewals++;
      if (tokens.next === undefined) throw new AppError('not_signed_in', 'nobody is signed in', { hint });
      tokens.value = tokens.next;
      return new Secret(tokens.next);
    },
    insufficient: async (token: Secret) => ({
      replaced: tokens.value !== undefined && token.reveal() !== tokens.value,
      scopes: ['openid'],
    }),
  };
  return tokens;
}

export function memoryStore(first?: Catalogue): CatalogueStore & { saved: Catalogue | undefined } {
  const store = {
    saved: first,
    load: async () => store.saved,
    save: async (catalogue: Catalogue) => {
      store.saved = catalogue;
    },
  };
  return store;
}

export interface TestClient {
  readonly bridge: Bridge;
  readonly input: PassThrough;
  readonly output: PassThrough;
  /** Every line on standard output, as it came, and parsed. */
  readonly lines: string[];
  readonly messages: Json[];
  readonly log: string[];
  send(message: object): void;
  line(text: string): void;
  request(method: string, params?: object): Promise<Json>;
  /** The answer to a request that was written by hand. */
  answerTo(id: unknown): Promise<Json>;
  /** The first message that fits, past or to come. */
  message(fits: (message: Json) => boolean): Promise<Json>;
  /** The handshake; the answer to `initialize`. */
  initialize(params?: object): Promise<Json>;
  call(args?: object, meta?: object): Promise<Json>;
  close(): Promise<void>;
}

const patienceMs = 10_000;

export function startClient(
  server: URL,
  options: Partial<BridgeOptions> & { settings?: Partial<RemoteSettings> } = {},
): TestClient {
  const input = new PassThrough();
  const output = new PassThrough();
  const lines: string[] = [];
  const messages: Json[] = [];
  const log: string[] = [];
  const waiting = new Set<() => void>();
  const http = createHttpClient({ userAgent: 'test/1' });
  let rest = '';
  output.setEncoding('utf8');
  output.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines.push(line);
      messages.push(JSON.parse(line) as Json);
    }
    for (const look of [...waiting]) look();
  });
  const { settings, ...given } = options;
  const bridge = openBridge({
    input,
    output,
    remote: {
      server,
      transport: 'auto',
      headers: {},
      timeoutMs: 60_000,
      maxMessageBytes: 1024 * 1024,
      ...settings,
    },
    tokens: createTokens('token-1'),
    signIn: undefined,
    signInHint: hint,
    catalogue: memoryStore(),
    http,
    // A machine under load is no reason to be answered from the catalogue.
    timing: { patienceMs: patienceMs / 2 },
    log: createLog({ level: 'debug', write: (line) => void log.push(line) }),
    ...given,
  });

  const line = (text: string) => void input.write(`${text}\n`);
  const send = (message: object) => line(JSON.stringify({ jsonrpc: '2.0', ...message }));
  const message = (fits: (message: Json) => boolean) =>
    new Promise<Json>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(
          new Error(
            `no such message; got ${lines.join('\n').slice(0, 3000)}\nlog ${log.join('').slice(0, 3000)}`,
          ),
        );
      }, patienceMs);
      const look = () => {
        const found = messages.find(fits);
        if (!found) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const answerTo = (id: unknown) => message((one) => one.method === undefined && one.id === id);
  let count = 0;
  const request = (method: string, params: object = {}) => {
    count++;
    const id = `q${count}`;
    send({ id, method, params });
    return answerTo(id);
  };
  return {
    bridge,
    input,
    output,
    lines,
    messages,
    log,
    send,
    line,
    request,
    answerTo,
    message,
    async initialize(params = {}) {
      const clientInfo = { name: 'test-client', version: '1' };
      const answer = await request('initialize', {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo,
        ...params,
      });
      send({ method: 'notifications/initialized' });
      return answer;
    },
    call: (args = {}, meta?: object) =>
      request('tools/call', { name: 'echo', arguments: args, ...(meta ? { _meta: meta } : {}) }),
    async close() {
      await bridge.close('the test is over');
      http.close();
    },
  };
}

/** What happens until it does: for what shows in the other process only. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
