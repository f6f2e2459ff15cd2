import { AppError } from '../../lib/errors.ts';
import type { ServerSettings } from '../../lib/settings.ts';
import { display } from '../../lib/text.ts';
import { isLoopbackHost } from '../../lib/url.ts';
import { trustOptions } from './common.ts';
import { integer, oneOf, readWebUrl, seconds, several, text, toggle, webUrl } from './option.ts';
import { redisUrl } from './redis.ts';
import type { Values } from './resolve.ts';

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
  issuer: webUrlText({
    flag: 'issuer',
    value: 'URL',
    variables: ['MCP_WHOAMI_ISSUER'],
    member: 'issuer',
    help: 'the authorization server (default: a built-in demo one)',
  }),
  idpPort: integer(0, 65_535, {
    flag: 'idp-port',
    value: 'PORT',
    member: 'idpPort',
    help: 'port of the built-in authorization server (default: port + 1)',
  }),
  metadata: text({
    flag: 'metadata',
    value: 'URL|FILE',
    variables: ['MCP_WHOAMI_METADATA'],
    member: 'metadata',
    help: 'authorization server metadata of a provider without discovery',
  }),
  userinfoUrl: webUrlText({
    flag: 'userinfo-url',
    value: 'URL',
    variables: ['MCP_WHOAMI_USERINFO_URL'],
    member: 'userinfoUrl',
    help: 'the endpoint that tells who a token belongs to',
  }),
  verify: oneOf(['auto', 'jwt', 'userinfo'], {
    flag: 'verify',
    value: 'auto|jwt|userinfo',
    variables: ['MCP_WHOAMI_VERIFY'],
    member: 'verify',
    help: 'how access tokens are verified (default: auto)',
  }),
  audience: text({
    flag: 'audience',
    value: 'URI',
    variables: ['MCP_WHOAMI_AUDIENCE'],
    member: 'audience',
    help: "expected audience (default: the server's own resource URIs)",
  }),
  requiredScope: text({
    flag: 'required-scope',
    value: '"A B"|none',
    variables: ['MCP_WHOAMI_REQUIRED_SCOPE'],
    member: 'requiredScope',
    help: 'scopes every call needs (default: openid profile)',
  }),
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

function webUrlText(common: Parameters<typeof text>[0]) {
  return {
    ...text(common),
    // The text is kept as it was typed: an issuer is compared byte by byte (RFC 8414 3.3).
    read(texts: readonly string[], from: string): string {
      const given = texts.at(-1) ?? '';
      const { protocol, hostname } = readWebUrl(given, from);
      if (protocol === 'https:' || isLoopbackHost(hostname)) return given;
      throw new AppError('usage', `${from}: "${display(given, 80)}" is plain http to another machine`, {
        hint: 'name its https address: who can change what it answers decides who is let in',
      });
    },
  };
}

/** The server's settings, checked against each other. Throws AppError `usage`. */
export function serverSettings(values: Values<typeof serverOptions>, onTerminal: boolean): ServerSettings {
  const host = values.host ?? '127.0.0.1';
  const usage = (message: string, hint?: string) => new AppError('usage', message, { hint });
  if (!isLoopbackHost(host) && !(values.publicUrl && values.issuer)) {
    throw usage(
      `--host ${host} is reachable from other machines: it needs --public-url and --issuer`,
      'mcp-whoami serve --host 0.0.0.0 --public-url https://whoami.example.com --issuer https://auth.example.com',
    );
  }
  if (values.noAuth && (values.issuer || (values.verify && values.verify !== 'auto'))) {
    throw usage('--no-auth checks no token: it goes with neither --issuer nor --verify');
  }
  if (values.port === 65_535 && values.idpPort === undefined && !values.issuer && !values.noAuth) {
    throw usage('--port 65535 leaves no port + 1 to the demo authorization server', 'add --idp-port PORT');
  }
  const scope = values.requiredScope;
  if (values.verify === 'userinfo' && values.audience) {
    throw usage('--audience cannot be checked by userinfo', 'leave one out, or use --verify jwt');
  }
  if (values.verify === 'userinfo' && scope && scope !== 'none') {
    throw usage('--required-scope cannot be checked by userinfo', 'leave one out, or use --verify jwt');
  }
  return Object.freeze({
    host,
    port: values.port ?? 3001,
    issuer: values.issuer,
    metadata: values.metadata,
    userinfoUrl: values.userinfoUrl,
    verify: values.verify ?? 'auto',
    audience: values.audience,
    requiredScope:
      scope === undefined ? undefined : scope === 'none' ? [] : scope.split(/\s+/).filter(Boolean),
    publicUrl: values.publicUrl,
    pageClientId: values.pageClientId,
    allowOrigin: values.allowOrigin ?? [],
    staleMs: values.stale ?? 300_000,
    maxSessions: values.maxSessions ?? 10_000,
    redis: values.redis,
    drainDelayMs: values.drainDelay ?? (onTerminal ? 0 : 5_000),
    noAuth: values.noAuth ?? false,
  });
}
