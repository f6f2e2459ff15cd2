import type { IncomingMessage } from 'node:http';
import { type BlockList, isIP } from 'node:net';
import { isWithin, subnets } from '../lib/address.ts';
import { AppError } from '../lib/errors.ts';
import { display } from '../lib/text.ts';

const loopback = ['127.0.0.0/8', '::1/128'];

/** Whose request it is, by network address; `undefined` once its connection has gone. */
export type CallerOf = (req: IncomingMessage) => string | undefined;

/**
 * In: the trusted proxies, as addresses and subnets, as they may change.
 *
 * Finds the caller behind proxies that are trusted by their addresses (`--trust-proxy`): from the right, the first
 * address of `X-Forwarded-For` that is none of theirs, since only what a trusted proxy has appended is true. From
 * anybody else the header is not read. It decides whose share of wrong tokens a request counts to, and what the log
 * says, and nothing else.
 */
export function createCallerOf(trusted: () => readonly string[]): CallerOf {
  let texts: readonly string[] = [];
  let proxies: BlockList | undefined;
  return ({ socket, headers }) => {
    const nearest = socket.remoteAddress;
    if (texts !== trusted()) {
      texts = trusted();
      proxies = texts.length > 0 ? subnets(texts) : undefined;
    }
    const told = headers['x-forwarded-for'];
    if (!proxies || !nearest || told === undefined || !isWithin(proxies, nearest)) return nearest;
    let caller = nearest;
    for (const entry of String(told).split(',').reverse()) {
      const address = addressIn(entry.trim());
      if (address === undefined) return caller;
      caller = address;
      if (!isWithin(proxies, address)) return caller;
    }
    return caller;
  };
}

/** Some proxies write the port, too. */
function addressIn(entry: string): string | undefined {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry;
  return isIP(bare) ? bare : undefined;
}

/**
 * Proxies by their addresses: an address, a subnet, or `loopback`. In: the texts, and where they are from. Out:
 * subnets. A number of hops is not taken: who reaches the server past the proxies could then write what it likes.
 * Throws AppError `usage`.
 */
export function readProxies(texts: readonly string[], from: string): readonly string[] {
  return texts.flatMap((text) => (text === 'loopback' ? loopback : readSubnet(text, from)));
}

function readSubnet(text: string, from: string): string {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (bits > 0 && more.length === 0 && length <= bits && length > 0) return `${address}/${length}`;
  throw new AppError('usage', `${from}: "${display(text, 80)}" is neither an address nor a subnet`, {
    hint: '10.0.0.0/8, 192.0.2.7, fd00::/8 or loopback',
  });
}
