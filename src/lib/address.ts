import { BlockList, isIP } from 'node:net';

/** Where an IP address leads. `private`: also what is no address of one machine on the Internet. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local';

const ranges: Record<Exclude<AddressKind, 'public'>, BlockList> = {
  'link-local': subnets(['169.254.0.0/16', 'fe80::/10']),
  loopback: subnets(['127.0.0.0/8', '::1/128']),
  // IANA special-purpose registries (RFC 6890), less those for documentation.
  private: subnets([
    '0.0.0.0/8',
    '10.0.0.0/8',
    '100.64.0.0/10',
    '172.16.0.0/12',
    '192.0.0.0/24',
    '192.168.0.0/16',
    '198.18.0.0/15',
    '224.0.0.0/3',
    '::/128',
    '64:ff9b:1::/48',
    '100::/64',
    'fc00::/7',
    'fec0::/10',
    'ff00::/8',
  ]),
};
const order = ['link-local', 'loopback', 'private'] as const;

/**
 * The kind of an IP address; of one that carries IPv4 addresses inside (mapped, NAT64, 6to4 ...) the worst of
 * all, since a translator on the way may lead to any of them.
 */
export function addressKind(address: string): AddressKind {
  const ip = address.replace(/%.*$/, '');
  const all = [ip, ...(isIP(ip) === 6 ? embedded(groupsOf(ip)) : [])];
  return order.find((kind) => all.some((one) => isWithin(ranges[kind], one))) ?? 'public';
}

/** Whether `list` has the address; an address inside another is not looked for. */
export function isWithin(list: BlockList, ip: string): boolean {
  return list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
}

/** A list of subnets, each an address, a slash and the length of its prefix. */
export function subnets(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [net = '', prefix] = text.split('/');
    list.addSubnet(net, Number(prefix), isIP(net) === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

type Groups = readonly number[];

/** The IPv4 addresses inside an IPv6 address. */
function embedded(groups: Groups): string[] {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const zero = (...parts: Groups) => parts.every((part) => part === 0);
  // IPv4-mapped and IPv4-compatible (RFC 4291 2.5.5), IPv4-translated (RFC 2765 2.1).
  if (zero(a, b, c, d, e) && (f === 0xffff || (f === 0 && g !== 0))) return [dotted(g, h)];
  if (zero(a, b, c, d) && e === 0xffff && f === 0) return [dotted(g, h)];
  // NAT64 with the well-known prefix (RFC 6052 2.1).
  if (a === 0x64 && b === 0xff9b && zero(c, d, e, f)) return [dotted(g, h)];
  // 6to4 (RFC 3056 2).
  if (a === 0x2002) return [dotted(b, c)];
  // Teredo (RFC 4380 4): the server, and the client with its bits turned over.
  if (a === 0x2001 && b === 0) return [dotted(c, d), dotted(g ^ 0xffff, h ^ 0xffff)];
  // ISATAP (RFC 5214 6.1), with any prefix.
  if ((e & 0xfdff) === 0 && f === 0x5efe) return [dotted(g, h)];
  return [];
}

const dotted = (high: number, low: number) =>
  [high >> 8, high & 0xff, low >> 8, low & 0xff].map(String).join('.');

/** The eight groups of an IPv6 address in any of its spellings. */
function groupsOf(ip: string): Groups {
  // The URL parser writes dotted ends in hexadecimal, and every group as short as it can be.
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::');
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [before, after] = [parse(head), parse(tail ?? '')];
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}
