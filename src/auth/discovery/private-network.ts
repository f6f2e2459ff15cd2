import dns from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { addressKind } from '../../lib/address.ts';
import { AppError } from '../../lib/errors.ts';
import { isLoopbackHost } from '../../lib/url.ts';

/** Decides on the address that is really connected to, not on the text of a URL (RFC 9728 7.7). */
export interface NetworkGuard {
  /** Refuses a URL whose host is an address, which no `lookup` gets to see. Throws AppError `insecure_url`. */
  check(url: URL): Promise<void>;
  readonly lookup: LookupFunction;
  /** Resolves the server's own name for a request to it, and remembers what it was then. */
  readonly lookupServer: LookupFunction;
}

type Resolve = (host: string) => Promise<readonly string[]>;

/**
 * The guard of the URLs that a server's metadata names: link-local addresses never; loopback and private ones
 * only when the server itself is not public, or by `--allow-private-network`.
 */
export function createNetworkGuard(
  server: URL,
  allowPrivate: boolean,
  resolve: Resolve = resolveHost,
): NetworkGuard {
  let isPublic: Promise<boolean> | undefined;
  // One public address is enough: whoever runs the name can put any other beside it, or in its place later.
  const anyPublic = (found: readonly string[]) => found.some((address) => addressKind(address) === 'public');
  const serverIsPublic = () => {
    isPublic ??= addressesOf(server, resolve).then(anyPublic, () => {
      // A name that cannot be resolved now (a VPN that is not up yet) says nothing about later.
      isPublic = undefined;
      return true;
    });
    return isPublic;
  };
  const refuse = async (host: string, addresses: readonly string[]) => {
    for (const address of addresses) {
      const kind = addressKind(address);
      const harmless = kind === 'public' || (kind !== 'link-local' && allowPrivate);
      if (harmless || (kind !== 'link-local' && !(await serverIsPublic()))) continue;
      const hint =
        kind === 'link-local' ? undefined : 'add --allow-private-network if this is your own network';
      throw new AppError('insecure_url', `${server.host} sends us to ${host}, a ${kind} address`, { hint });
    }
  };
  return {
    async check(url) {
      const literal = literalAddress(url.hostname);
      if (literal) await refuse(url.host, [literal]);
    },
    lookup(host, options, callback) {
      const found = (error: NodeJS.ErrnoException | null, all: dns.LookupAddress[]) => {
        if (error) return callback(error, '', 0);
        refuse(
          host,
          all.map(({ address }) => address),
        ).then(
          () => {
            if (options.all) callback(null, all);
            else callback(null, all[0]?.address ?? '', all[0]?.family);
          },
          (refusal: NodeJS.ErrnoException) => callback(refusal, '', 0),
        );
      };
      dns.lookup(host, { ...options, all: true }, found);
    },
    lookupServer(host, options, callback) {
      dns.lookup(host, { ...options, all: true }, (error, all) => {
        if (error) return callback(error, '', 0);
        const found = all.map(({ address }) => address);
        if (anyPublic(found)) isPublic = Promise.resolve(true);
        else isPublic ??= Promise.resolve(false);
        if (options.all) callback(null, all);
        else callback(null, all[0]?.address ?? '', all[0]?.family);
      });
    },
  };
}

async function addressesOf(url: URL, resolve: Resolve): Promise<readonly string[]> {
  const literal = literalAddress(url.hostname);
  return literal ? [literal] : resolve(url.hostname);
}

/** What the text of a host gives away: all that can be known where a proxy resolves the name. */
function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$|\.$/g, '');
  if (isIP(bare)) return bare;
  return bare.endsWith('.localhost') || isLoopbackHost(bare) ? '127.0.0.1' : undefined;
}

async function resolveHost(host: string): Promise<readonly string[]> {
  const all = await new Promise<dns.LookupAddress[]>((done, failed) =>
    dns.lookup(host, { all: true }, (error, found) => (error ? failed(error) : done(found))),
  );
  return all.map(({ address }) => address);
}
