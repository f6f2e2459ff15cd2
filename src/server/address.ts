import type { ServerSettings } from '../lib/settings.ts';
import { isLoopbackHost } from '../lib/url.ts';

/** A protected resource, as a path below the public URL; empty: the server as a whole. */
export type ResourcePath = string;

/** Those of our own server. */
export const ownResources: readonly ResourcePath[] = ['', '/sse', '/mcp'];

/** Where one kind of client reaches us. The `base` is the resource identifier of the server as a whole. */
export interface Site {
  readonly origin: string;
  /** Path of the public URL, without its last slash; empty at the root. */
  readonly basePath: string;
  /** `origin` and `basePath` together. */
  readonly base: string;
}

export interface PublicAddress {
  readonly sites: readonly Site[];
  /** Paths under which the public routes are found: at the root, and below the public URL's own path. */
  readonly prefixes: readonly string[];
  /** Resource identifiers (RFC 8707) of every site. */
  readonly resources: readonly string[];
  /** The site that a Host header names; `undefined` for a name that is not ours (DNS rebinding). */
  siteOf(host: string | undefined): Site | undefined;
  /** Whether a browser page of this origin may talk to us. */
  admits(origin: string): boolean;
}

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/**
 * The server's own address, known from settings alone: no request can move it.
 *
 * In: the settings, the port that is listened on, and the protected resources. Without a public URL each loopback
 * name is a site of its own, and a request is answered in the name it used.
 */
export function publicAddress(
  settings: Pick<ServerSettings, 'host' | 'publicUrl' | 'allowOrigin'> & Partial<Pick<ServerSettings, 'tls'>>,
  port: number,
  paths: readonly ResourcePath[] = ownResources,
): PublicAddress {
  const { publicUrl } = settings;
  const onLoopback = isLoopbackHost(settings.host);
  const scheme = settings.tls ? 'https' : 'http';
  const local = localNames(settings.host, onLoopback).map((name) => new URL(`${scheme}://${name}:${port}`));
  const sites = publicUrl ? [siteAt(publicUrl)] : local.map(siteAt);
  const byHost = new Map<string, Site>();
  for (const url of publicUrl && !onLoopback ? [] : local) {
    const site = sites.find(({ origin }) => origin === url.origin) ?? sites[0];
    if (site) addHost(byHost, url, site);
  }
  if (publicUrl && sites[0]) addHost(byHost, publicUrl, sites[0]);
  const origins = new Set(sites.map(({ origin }) => origin));
  return {
    sites,
    prefixes: [...new Set(['', ...sites.map(({ basePath }) => basePath)])],
    resources: sites.flatMap(({ base }) => paths.map((path) => base + path)),
    siteOf: (host) => (host === undefined ? undefined : byHost.get(host.toLowerCase())),
    // Read anew each time: who may come in changes while the server runs.
    admits: (origin) =>
      origins.has(origin) || (onLoopback && isLocalOrigin(origin)) || settings.allowOrigin.includes(origin),
  };
}

function localNames(host: string, onLoopback: boolean): readonly string[] {
  const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return onLoopback ? [...new Set([...loopbackNames, name])] : [name];
}

function siteAt(url: URL): Site {
  const basePath = url.pathname.replace(/\/+$/, '');
  return { origin: url.origin, basePath, base: url.origin + basePath };
}

/** A client may leave the scheme's default port out of the Host header, or write it. */
function addHost(byHost: Map<string, Site>, url: URL, site: Site): void {
  byHost.set(url.host, site);
  if (url.port === '') byHost.set(`${url.hostname}:${url.protocol === 'https:' ? 443 : 80}`, site);
}

function isLocalOrigin(origin: string): boolean {
  let url: URL;
  try {
    url = new URL(origin);
  } catch {
    return false;
  }
  const web = url.protocol === 'http:' || url.protocol === 'https:';
  return web && url.origin === origin && loopbackNames.includes(url.hostname);
}
