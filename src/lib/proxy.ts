import { isIP } from 'node:net';
import { isWithin, subnets } from './address.ts';
import { AppError } from './errors.ts';
import { isLoopbackHost } from './url.ts';

/** Which proxy a request takes; `undefined`: none. Throws AppError `server_unreachable` for one that cannot be used. */
export type ProxyFor = (url: URL) => URL | undefined;

/**
 * The proxy of https requests as the environment names it: `HTTPS_PROXY`, else `ALL_PROXY`, in capitals or not,
 * except for loopback addresses and what `NO_PROXY` lists. Plain http never takes one: it is for this machine and
 * for networks that the user named, and its tokens would be open to the proxy.
 */
export function proxyFrom(environment: Readonly<Record<string, string | undefined>>): ProxyFor {
  const read = (name: string) => environment[name] || environment[name.toLowerCase()] || '';
  const name = ['HTTPS_PROXY', 'ALL_PROXY'].find((one) => read(one) !== '');
  if (name === undefined) return () => undefined;
  const proxy = readProxy(name, read(name));
  const exceptions = read('NO_PROXY')
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(readException);
  return (url) => {
    if (url.protocol !== 'https:' || isLoopbackHost(url.hostname)) return undefined;
    if (exceptions.some((covers) => covers(url))) return undefined;
    if (proxy instanceof AppError) throw proxy;
    return proxy;
  };
}

/** Its text may hold a password: it is never shown. */
function readProxy(name: string, given: string): URL | AppError {
  const [scheme = 'http'] = /^[a-z][a-z0-9+.-]*(?=:\/\/)/i.exec(given) ?? [];
  const known = /^https?$/i.test(scheme);
  const text = given.includes('://') ? given : `http://${given}`;
  if (known && URL.canParse(text)) {
    const proxy = new URL(text);
    // More than a host: a password with / # or ? in it, of which a part would be taken for the host and shown.
    if (proxy.hostname && proxy.pathname === '/' && !proxy.search && !proxy.hash) return proxy;
  }
  const why = known
    ? 'what is no URL of a proxy (encode @ : / # % in a password)'
    : `a ${scheme} proxy, which is not supported`;
  return new AppError('server_unreachable', `${name} names ${why}`, {
    hint: 'name an http or https proxy in HTTPS_PROXY, or list the server in NO_PROXY',
  });
}

type Exception = (url: URL) => boolean;

/** A host with all below it, also written `.host` or `*.host`; an address; a subnet; any with a port; `*`. */
function readException(text: string): Exception {
  if (text === '*') return () => true;
  const bareV6 = !text.startsWith('[') && text.split(':').length > 2;
  const [, named = '', port] = bareV6 ? ['', text] : (/^(.*?)(?::(\d+))?$/.exec(text) ?? []);
  const name = named.toLowerCase().replace(/[[\]]|\.$/g, '');
  const covers = addressException(name) ?? hostException(name.replace(/^\*?\./, ''));
  return (url) =>
    (port === undefined || port === (url.port || '443')) && covers(url.hostname.replace(/[[\]]|\.$/g, ''));
}

function addressException(name: string): ((host: string) => boolean) | undefined {
  const [net = '', prefix] = name.split('/');
  const bits = isIP(net) === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : Number(prefix);
  if (!isIP(net) || !(length >= 0 && length <= bits)) return undefined;
  const list = subnets([`${net}/${length}`]);
  return (host) => isIP(host) !== 0 && isWithin(list, host);
}

const hostException = (name: string) => (host: string) => host === name || host.endsWith(`.${name}`);
