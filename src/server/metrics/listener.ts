import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../../lib/errors.ts';
import { listenError } from '../../lib/ports.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import type { Metrics } from './metrics.ts';

/** Scrapers are few. Times in milliseconds. */
const limits = { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 5_000 } as const;
const maxConnections = 32;

export interface MetricsListener {
  readonly port: number;
  close(): Promise<void>;
}

export interface MetricsListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly metrics: Metrics;
}

/**
 * `/metrics` on a port of its own, so that no balancer shows it to the world. There is nothing secret in it; on
 * loopback it answers to loopback names only, so that no page in a browser reads it either (DNS rebinding). Throws
 * AppError `port_taken`.
 */
export async function openMetricsListener(options: MetricsListenerOptions): Promise<MetricsListener> {
  const { host, port, metrics } = options;
  const onLoopback = isLoopbackHost(host);
  const server = createServer(limits, (req, res) => {
    void answer(req, res, metrics, onLoopback).catch(() => res.destroy());
  });
  server.maxConnections = maxConnections;
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error) => {
      const { code, message, hint } = listenError(error, host, port, '--metrics-port');
      // Without the cause: it is not the server's own port, on which another copy of us may be serving.
      reject(new AppError(code, message, { hint }));
    });
    server.listen({ host: host.replace(/^\[|\]$/g, ''), port, exclusive: true }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  req: IncomingMessage,
  res: ServerResponse,
  metrics: Metrics,
  onLoopback: boolean,
): Promise<void> {
  const refuse = (status: number, headers = {}) =>
    void res.writeHead(status, { 'content-length': 0, ...headers }).end();
  if (onLoopback && !isLoopbackHost(nameIn(req.headers.host))) return refuse(403);
  if (req.url?.split('?')[0] !== '/metrics') return refuse(404);
  if (req.method !== 'GET' && req.method !== 'HEAD') return refuse(405, { allow: 'GET, HEAD' });
  const text = await metrics.read();
  const headers = { 'content-type': metrics.contentType, 'content-length': Buffer.byteLength(text) };
  res.writeHead(200, headers).end(req.method === 'HEAD' ? '' : text);
}

function nameIn(host = ''): string {
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}
