import { AppError } from '../../lib/errors.ts';
import type { IssuerSettings, ServerCertificate, ServerSettings } from '../../lib/settings.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import { trustOptions } from './common.ts';
import { issuerOptions, readTrustedUrl } from './issuers.ts';
import { integer, jsonTexts, oneOf, readWebUrl, seconds, several, text, toggle, webUrl } from './option.ts';
import { redisUrl } from './redis.ts';
import type { Values } from './resolve.ts';
import { proxies } from './trust-proxy.ts';

export const serverOptions = {
  host: text({
    flag: 'host',
    value: 'HOST',
    variables: ['MCP_WHOAMI_HOST'],
    member: 'host',
    help: 'address to listen on (default: 127.0.0.1)',
  }),
  port: integer(0, 65_535, {
    flag: 'port',
    value: 'PORT',
    variables: ['MCP_WHOAMI_PORT', 'PORT'],
    member: 'port',
    help: 'port to listen on (default: 3001; 0: a free one)',
  }),
  issuer: several(readTrustedUrl, {
    flag: 'issuer',
    value: 'URL',
    variables: ['MCP_WHOAMI_ISSUER'],
    member: 'issuer',
    help: 'the authorization server (repeatable; default: a built-in demo one)',
  }),
  idpPort: integer(0, 65_535, {
    flag: 'idp-port',
    value: 'PORT',
    member: 'idpPort',
    help: 'port of the built-in authorization server (default: port + 1)',
  }),
  ...issuerOptions,
  claims: {
    ...text({
      flag: 'claims',
      value: 'A,B',
      member: 'claims',
      help: 'the claims that whoami shows beside sub and iss (default: all)',
    }),
    json: jsonTexts,
    read: (texts: readonly string[]) => texts.flatMap((one) => one.split(',')).map((one) => one.trim()),
  },
  publicUrl: webUrl({
    flag: 'public-url',
    value: 'URL',
    variables: ['MCP_WHOAMI_PUBLIC_URL'],
    member: 'publicUrl',
    help: 'the address that clients use',
  }),
  pageClientId: text({
    flag: 'page-client-id',
    value: 'ID',
    variables: ['MCP_WHOAMI_PAGE_CLIENT_ID'],
    member: 'pageClientId',
    help: "client for the sign-in of the server's own page (default: it registers itself)",
  }),
  allowOrigin: several((given, from) => readWebUrl(given, from).origin, {
    flag: 'allow-origin',
    value: 'ORIGIN',
    variables: ['MCP_WHOAMI_ALLOW_ORIGIN'],
    member: 'allowOrigin',
    help: 'a further browser origin to let in (repeatable)',
  }),
  stale: seconds(0, 86_400, {
    flag: 'stale',
    value: 'SECONDS',
    variables: ['MCP_WHOAMI_STALE'],
    member: 'stale',
    help: 'how long a verdict serves while the provider fails (default: 300; 0: off)',
  }),
  maxSessions: integer(1, 1_000_000, {
    flag: 'max-sessions',
    value: 'N',
    variables: ['MCP_WHOAMI_MAX_SESSIONS'],
    member: 'maxSessions',
    help: 'most open streams of this process (default: 10000)',
  }),
  redis: redisUrl({
    flag: 'redis',
    value: 'URL',
    variables: ['MCP_WHOAMI_REDIS_URL'],
    member: 'redis',
    help: 'the Redis that several replicas share (a password belongs in the variable)',
  }),
  upstream: webUrl({
    flag: 'upstream',
    value: 'URL',
    variables: ['MCP_WHOAMI_UPSTREAM'],
    member: 'upstream',
    help: 'be the gate in front of the MCP server at URL, which hears who calls in X-Whoami-Identity',
  }),
  userRate: integer(1, 100_000, {
    flag: 'user-rate',
    value: 'N',
    variables: ['MCP_WHOAMI_USER_RATE'],
    member: 'userRate',
    help: 'requests a second that one user may make; five times as many at once (default: any number)',
  }),
  trustProxy: proxies({
    flag: 'trust-proxy',
    value: 'ADDRESS',
    variables: ['MCP_WHOAMI_TRUST_PROXY'],
    member: 'trustProxy',
    help: "a proxy, or a subnet of them, whose X-Forwarded-For names the caller for the log and for limits (repeatable; 'loopback': this machine)",
  }),
  metricsPort: integer(0, 65_535, {
    flag: 'metrics-port',
    value: 'PORT',
    variables: ['MCP_WHOAMI_METRICS_PORT'],
    member: 'metricsPort',
    help: 'port of /metrics for Prometheus, on the same host (default: none; 0: a free one)',
  }),
  tlsCert: text({
    flag: 'tls-cert',
    value: 'FILE',
    member: 'tlsCert',
    help: 'speak TLS: a PEM file with the certificate and its chain; read again at SIGHUP',
  }),
  tlsKey: text({
    flag: 'tls-key',
    value: 'FILE',
    member: 'tlsKey',
    help: "the PEM file with that certificate's private key",
  }),
  drainDelay: seconds(0, 600, {
    flag: 'drain-delay',
    value: 'SECONDS',
    variables: ['MCP_WHOAMI_DRAIN_DELAY'],
    member: 'drainDelay',
    help: 'pause between "not ready" and the end at SIGTERM (default: 0 on a terminal, else 5)',
  }),
  logFormat: oneOf(['text', 'json'], {
    flag: 'log-format',
    value: 'text|json',
    variables: ['MCP_WHOAMI_LOG_FORMAT'],
    member: 'logFormat',
    help: 'form of the log (default: text)',
  }),
  ...trustOptions,
  noAuth: toggle({ flag: 'no-auth', member: 'noAuth', help: 'no authentication: whoami knows nobody' }),
};

/**
 * The server's settings, checked against each other. In: the authorization servers; none: the demo's, which is
 * named once it runs; and what `--tls-cert` and `--tls-key` hold. Throws AppError `usage`.
 */
export function serverSettings(
  values: Values<typeof serverOptions>,
  issuers: readonly IssuerSettings[],
  onTerminal: boolean,
  certificate?: ServerCertificate,
): ServerSettings {
  const host = values.host ?? '127.0.0.1';
  const usage = (message: string, hint?: string) => new AppError('usage', message, { hint });
  if (!isLoopbackHost(host) && !(values.publicUrl && issuers.length > 0)) {
    throw usage(
      `--host ${host} is reachable from other machines: it needs --public-url and --issuer`,
      'mcp-whoami serve --host 0.0.0.0 --public-url https://whoami.example.com --issuer https://auth.example.com',
    );
  }
  if (values.noAuth && (issuers.length > 0 || (values.verify && values.verify !== 'auto'))) {
    throw usage('--no-auth checks no token: it goes with neither --issuer nor --verify');
  }
  if (values.noAuth && (values.allow || values.claims)) {
    throw usage('--no-auth knows nobody: it goes with neither --allow nor --claims');
  }
  if (values.noAuth && values.upstream) {
    throw usage('--no-auth is no gate: it goes not with --upstream');
  }
  if (values.redis && values.upstream) {
    throw usage(
      '--redis is not needed with --upstream: the sessions are those of the server behind the gate',
    );
  }
  if (values.port === 65_535 && values.idpPort === undefined && issuers.length === 0 && !values.noAuth) {
    throw usage('--port 65535 leaves no port + 1 to the demo authorization server', 'add --idp-port PORT');
  }
  return Object.freeze({
    host,
    port: values.port ?? 3001,
    issuers,
    claims: values.claims,
    publicUrl: values.publicUrl,
    pageClientId: values.pageClientId,
    allowOrigin: values.allowOrigin ?? [],
    staleMs: values.stale ?? 300_000,
    maxSessions: values.maxSessions ?? 10_000,
    redis: values.redis,
    upstream: values.upstream,
    drainDelayMs: values.drainDelay ?? (onTerminal ? 0 : 5_000),
    tls: certificate,
    trustProxy: values.trustProxy ?? [],
    userRate: values.userRate,
    metricsPort: values.metricsPort,
    logRequests: values.logFormat === 'json' ? 'all' : 'failed',
    noAuth: values.noAuth ?? false,
  });
}
