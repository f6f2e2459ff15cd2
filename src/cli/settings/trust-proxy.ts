import { isIP } from 'node:net';
import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import { jsonTexts, type Option } from './option.ts';

const loopback = ['127.0.0.0/8', '::1/128'];

/**
 * Proxies by their addresses: an address, a subnet, or `loopback`. Out: subnets. A number of hops is not taken: who
 * reaches the server past the proxies could then write what it likes.
 */
export const proxies = (common: Omit<Option<readonly string[]>, 'read'>): Option<readonly string[]> => ({
  ...common,
  repeatable: true,
  json: jsonTexts,
  read: (texts, from) => texts.flatMap((text) => (text === 'loopback' ? loopback : readSubnet(text, from))),
});

function readSubnet(text: string, from: string): string {
  const [address = '', prefix, ...more] = text.split('/');
  const bits = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (bits > 0 && more.length === 0 && length <= bits && length > 0) return `${address}/${length}`;
  throw new AppError('usage', `${from}: "${display(text, 80)}" is neither an address nor a subnet`, {
    hint: '10.0.0.0/8, 192.0.2.7, fd00::/8 or loopback',
  });
}
