import { AppError } from '../../lib/errors.ts';
import { display } from '../../lib/text.ts';
import { trustOptions } from './common.ts';
import {
  integer,
  jsonPairs,
  oneOf,
  readWebUrl,
  seconds,
  secret,
  several,
  text,
  toggle,
  webUrl,
} from './option.ts';

/** Which server, where the command line names none. */
export const serverOption = {
  server: webUrl({
    variables: ['MCP_WHOAMI_URL'],
    member: 'defaultServer',
    help: 'the server, where no URL is given (default: the default server, else http://localhost:3001/sse)',
  }),
};

/** Reaching a remote server: `bridge`, `login`, `whoami`, `serve --stdio`. */
export const remoteOptions = {
  transport: oneOf(['auto', 'http', 'sse'], {
    flag: 'transport',
    value: 'auto|http|sse',
    variables: ['MCP_WHOAMI_TRANSPORT'],
    member: 'transport',
    help: 'how the server is spoken to (default: auto)',
  }),
  header: {
    ...several(readHeader, {
      flag: 'header',
      value: "'Name: value'",
      member: 'header',
      help: 'a further request header; ${VAR} is expanded (repeatable)',
    }),
    ofOneServer: true,
  },
  timeout: seconds(1, 86_400, {
    flag: 'timeout',
    value: 'SECONDS',
    variables: ['MCP_WHOAMI_TIMEOUT'],
    member: 'timeout',
    help: 'the longest silent call (default: 300)',
  }),
  maxMessage: integer(1, 1024, {
    flag: 'max-message',
    value: 'MB',
    variables: ['MCP_WHOAMI_MAX_MESSAGE'],
    member: 'maxMessage',
    help: 'the largest message (default: 64)',
  }),
  ...trustOptions,
  token: secret({ variables: ['MCP_WHOAMI_TOKEN'], help: 'an access token given by hand' }),
  tokenCommand: {
    ...text({
      flag: 'token-command',
      value: 'CMD',
      member: 'tokenCommand',
      help: 'a command that prints an access token; words at white space, no shell',
    }),
    ofOneServer: true,
    read(texts: readonly string[], from: string): string {
      const command = texts.at(-1)?.trim() ?? '';
      if (command !== '') return command;
      throw new AppError('usage', `${from}: which command?`);
    },
  },
};

/** Signing in: how we present ourselves to the authorization server. */
export const signInOptions = {
  clientId: text({
    flag: 'client-id',
    value: 'ID',
    variables: ['MCP_WHOAMI_CLIENT_ID'],
    member: 'clientId',
    help: 'a client registered in advance; an https URL is a client id metadata document',
  }),
  clientSecret: secret({ variables: ['MCP_WHOAMI_CLIENT_SECRET'], help: "that client's secret" }),
  clientKey: text({
    flag: 'client-key',
    value: 'FILE',
    member: 'clientKey',
    help: "that client's private key, PEM or JWK (private_key_jwt); it stays in its file",
  }),
  clientCredentials: toggle({
    flag: 'client-credentials',
    member: 'clientCredentials',
    help: 'the client signs in for itself, with its secret or key: no person, no browser',
  }),
  scope: text({
    flag: 'scope',
    value: '"A B"',
    variables: ['MCP_WHOAMI_SCOPE'],
    member: 'scope',
    help: 'scopes to ask for (default: what the server asks for)',
  }),
  resource: {
    ...text({
      flag: 'resource',
      value: 'URI|none',
      variables: ['MCP_WHOAMI_RESOURCE'],
      member: 'resource',
      help: 'resource indicator; none for providers that refuse the parameter',
    }),
    read(texts: readonly string[], from: string): string {
      const given = texts.at(-1) ?? '';
      if (given === 'none' || (URL.canParse(given) && !given.includes('#'))) return given;
      throw new AppError('usage', `${from}: "${display(given, 80)}" is neither a URI nor none`);
    },
  },
  authParam: {
    ...several(readPair, {
      flag: 'auth-param',
      value: 'name=value',
      member: 'authParam',
      help: "a further parameter of the authorization request, or of a client's own token request (repeatable)",
    }),
    json: jsonPairs,
  },
  metadata: text({
    flag: 'metadata',
    value: 'URL|FILE',
    member: 'metadata',
    help: 'authorization server metadata of a provider without discovery',
  }),
  redirectPort: integer(1, 65_535, {
    flag: 'redirect-port',
    value: 'N',
    member: 'redirectPort',
    help: 'port of the redirect URI (default: a free one)',
  }),
  redirectHost: oneOf(['127.0.0.1', 'localhost', '[::1]'], {
    flag: 'redirect-host',
    value: 'HOST',
    member: 'redirectHost',
    help: '127.0.0.1, localhost or [::1] (default: 127.0.0.1)',
  }),
  assumePkce: toggle({
    flag: 'assume-pkce',
    member: 'assumePkce',
    help: 'the provider supports PKCE without announcing it',
  }),
  allowPrivateNetwork: toggle({
    flag: 'allow-private-network',
    member: 'allowPrivateNetwork',
    help: 'a public server may name an authorization server in a private network (VPN)',
  }),
  allowHttp: several((given, from) => readWebUrl(given, from).origin, {
    flag: 'allow-http',
    value: 'ORIGIN',
    variables: ['MCP_WHOAMI_ALLOW_HTTP'],
    member: 'allowHttp',
    help: 'plain http to this origin although it is not loopback (repeatable)',
  }),
};

/** Where secrets are kept. */
export const storeOptions = {
  store: oneOf(['keychain', 'file', 'memory'], {
    flag: 'store',
    value: 'keychain|file|memory',
    variables: ['MCP_WHOAMI_STORE'],
    member: 'store',
    help: 'where secrets are kept (default: keychain)',
  }),
  passphrase: secret({ variables: ['MCP_WHOAMI_PASSPHRASE'], help: 'passphrase of the encrypted file' }),
};

/** Whether a call that needs it may start a sign-in. */
export const loginOption = {
  login: oneOf(['auto', 'never'], {
    flag: 'login',
    value: 'auto|never',
    variables: ['MCP_WHOAMI_LOGIN'],
    member: 'login',
    help: 'whether a call may start a sign-in (default: auto)',
  }),
};

function readHeader(given: string, from: string): readonly [name: string, value: string] {
  const found = /^([!#$%&'*+.^_`|~\w-]+):\s*([\t\x20-\x7e]*)$/.exec(given);
  const [name, value] = [found?.[1]?.toLowerCase(), found?.[2]];
  if (!name || value === undefined) throw new AppError('usage', `${from}: write it as 'Name: value'`);
  if (['host', 'content-length', 'transfer-encoding', 'connection'].includes(name)) {
    throw new AppError('usage', `${from}: ${name} is not yours to set`);
  }
  if (name === 'authorization' && !/\$\{\w+\}/.test(value)) {
    throw new AppError('usage', `${from}: a literal Authorization header would show in the process list`, {
      hint: "put the token into a variable: MCP_WHOAMI_TOKEN, or --header 'Authorization: Bearer ${MY_TOKEN}'",
    });
  }
  return [name, value];
}

function readPair(given: string, from: string): readonly [name: string, value: string] {
  const at = given.indexOf('=');
  if (at < 1) throw new AppError('usage', `${from}: write it as name=value`);
  return [given.slice(0, at), given.slice(at + 1)];
}
