import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import express from 'express';
import {
  type AuthInfo,
  createGate,
  type Gate,
  type GateOptions,
  type Identity,
  identityOf,
  type LogEntry,
} from '../../../../../src/server/library/index.ts';
import { openTestProvider, type TestProvider } from '../../support/provider.ts';
import { exchange, type RawAnswer } from '../../support/raw.ts';

export const forms = ['express', 'node', 'fetch'] as const;
export type Form = (typeof forms)[number];

/** A request as a server behind the gate got it. */
export interface Seen {
  readonly identity: Identity;
  readonly auth: AuthInfo;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

/** Somebody else's server with our gate in front. */
export interface Protected {
  readonly gate: Gate;
  readonly provider: TestProvider;
  readonly origin: string;
  readonly port: number;
  /** What came through, the newest last. */
  readonly seen: readonly Seen[];
  readonly log: readonly LogEntry[];
  /** An access token for the resource. */
  token(sub?: string, claims?: Record<string, unknown>): Promise<string>;
  /** One request over a socket of its own, headers exactly as given (Host is added when there is none). */
  send(
    method: string,
    path: string,
    headers?: Record<string, string> | readonly (readonly [string, string])[],
    body?: string,
  ): Promise<RawAnswer>;
  close(): Promise<void>;
}

export interface ProtectedOptions {
  readonly form?: Form;
  /** In: the server's own origin. */
  readonly gate?: (origin: string) => Partial<GateOptions>;
  readonly provider?: TestProvider;
  /** What is behind the gate. Default: it answers 200 with the subject. */
  readonly behind?: (gate: Gate) => RequestListener;
  /** False: the provider is not waited for. */
  readonly wait?: boolean;
}

export async function openProtected(options: ProtectedOptions = {}): Promise<Protected> {
  const provider = options.provider ?? (await openTestProvider());
  const seen: Seen[] = [];
  const log: LogEntry[] = [];
  let listener: RequestListener = () => {};
  const server = createServer((req, res) => listener(req, res));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `http://localhost:${port}`;
  const gate = createGate({
    resource: `${origin}/mcp`,
    issuer: provider.issuer,
    log: (entry) => log.push(entry),
    ...options.gate?.(origin),
  });
  listener = options.behind?.(gate) ?? behind(options.form ?? 'node', gate, seen);
  if (options.wait !== false) await gate.ready;
  return {
    gate,
    provider,
    origin,
    port,
    seen,
    log,
    token: (sub = 'alice', claims = {}) => provider.jwt({ sub, claims: { aud: `${origin}/mcp`, ...claims } }),
    send(method, path, headers = {}, body = '') {
      const list = Array.isArray(headers)
        ? (headers as [string, string][])
        : Object.entries(headers as Record<string, string>);
      return exchange(port, method, path, list, body);
    },
    async close() {
      gate.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      if (!options.provider) await provider.close();
    },
  };
}

/** A server that answers with the subject, and keeps what it was told. */
function behind(form: Form, gate: Gate, seen: Seen[]): RequestListener {
  const take: Parameters<Gate['node']>[0] = (req, res) => {
    const { headers, rawHeaders, auth } = req;
    seen.push({ identity: identityOf(req), auth, headers, rawHeaders });
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ sub: identityOf(auth).subject }));
  };
  if (form === 'node') return gate.node(take);
  if (form === 'express') {
    const app = express();
    app.use(gate.middleware);
    app.use((req, res) => take(req as unknown as Parameters<typeof take>[0], res));
    return app;
  }
  const handle = gate.fetch((request, { authInfo, identity }) => {
    const headers = Object.fromEntries(request.headers);
    seen.push({ identity: identityOf(request), auth: authInfo, headers, rawHeaders: Object.values(headers) });
    return Response.json({ sub: identity.subject });
  });
  return getRequestListener(handle);
}
