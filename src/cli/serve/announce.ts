import type { Log } from '../../lib/log.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import type { IssuerReport } from '../../server/server.ts';
import type { Parts } from './parts.ts';

/** Where the server itself is reached from this machine. */
export function ownAddress(settings: ServerSettings, port: number): string {
  return `${settings.tls ? 'https' : 'http'}://${hostOf(settings)}:${port}`;
}

const hostOf = ({ host }: ServerSettings) => (isLoopbackHost(host) ? 'localhost' : host);

/** Which of the two addresses is named to people: behind a gate mostly the newer transport is spoken. */
export const endpointOf = ({ upstream }: ServerSettings) => (upstream ? '/mcp' : '/sse');

/** The lines at the start: what runs where, and what to know about it. */
export function announce(log: Log, settings: ServerSettings, parts: Parts, address: string): void {
  const base = settings.publicUrl?.href.replace(/\/$/, '') ?? address;
  const { upstream } = settings;
  if (upstream) {
    log.info(`gate at ${base}/mcp and ${base}/sse, in front of ${upstream.href}`);
    if (upstream.protocol === 'http:' && !isLoopbackHost(upstream.hostname)) {
      log.warn(
        'who calls is told to the server behind the gate over plain http: keep that network to yourself',
      );
    }
  } else log.info(`whoami server at ${base}/sse and ${base}/mcp`);
  if (!isLoopbackHost(settings.host) && !settings.tls && settings.publicUrl?.protocol === 'http:') {
    log.warn('access tokens come over plain http: give the public URL https, by a proxy or by --tls-cert');
  }
  const { metricsPort } = parts.server;
  if (metricsPort !== undefined) log.info(`metrics at http://${hostOf(settings)}:${metricsPort}/metrics`);
  if (settings.noAuth) log.warn('no authentication: everybody may call, and nobody is known');
  else if (parts.demoIssuer) {
    log.info(`demo authorization server at ${parts.demoIssuer}: anybody on this machine may be Alice or Bob`);
  }
  for (const { issuer } of settings.issuers) log.info(`authorization server ${issuer}`);
  if (!settings.noAuth) log.info(`sign in with: mcp-whoami login ${base}${endpointOf(settings)}`);
}

/** Says how tokens are verified, as soon as it is known. */
export async function announceVerification(one: IssuerReport, issuers: number, log: Log): Promise<void> {
  await one.ready.catch(() => new Promise(() => {}));
  const whose = issuers > 1 ? ` of ${one.issuer}` : '';
  log.info(`access tokens${whose} are verified by ${one.verification()}`);
}
