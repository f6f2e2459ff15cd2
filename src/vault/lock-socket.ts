import { connect, createServer, type Socket } from 'node:net';
import { hasCode } from '../lib/errors.ts';
import type { Lock } from './vault.ts';

/** One try at a lock: it is ours, or the address of the socket whose end is worth waiting for. */
export type Attempt = { readonly lock: Lock } | { readonly holder: string };

export interface Turnstile {
  attempt(): Promise<Attempt>;
}

/** The system's codes for: somebody listens there already. The last two are Windows', for a pipe on its way out. */
export const takenCodes = ['EADDRINUSE', 'EACCES', 'EBUSY'];

/** Listens at `address`: while the promise's lock is not released, nobody else can. Rejects with the system's error. */
export function listenAt(address: string): Promise<Lock> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<Socket>();
    const server = createServer((socket) => {
      waiting.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => waiting.delete(socket));
      socket.resume();
    });
    let released: Promise<void> | undefined;
    const release = () =>
      new Promise<void>((done) => {
        server.close(() => done());
        for (const socket of waiting) socket.destroy();
      });
    server.once('error', reject);
    server.listen({ path: address, exclusive: true }, () => {
      server.removeListener('error', reject);
      server.on('error', () => {});
      // A lock that is held is no reason for a process to stay.
      server.unref();
      resolve({ release: () => (released ??= release()) });
    });
  });
}

/** Resolves when whoever listens at `address` has let go or died, when nobody does, or after `limitMs`. */
export function holdersEnd(address: string, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const timer = setTimeout(() => socket.destroy(), limitMs);
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}

/** True when somebody listens at `address`, or did a moment ago: its queue is full, or it is just letting go. */
export function isHeld(address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      if (hasCode(error, 'EAGAIN', 'ECONNRESET', 'EPIPE', 'ENOTCONN')) resolve(true);
      else if (hasCode(error, 'ECONNREFUSED', 'ENOENT')) resolve(false);
      else reject(error);
    });
  });
}
