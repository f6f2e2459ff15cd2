import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetadataForm, Quirks } from './quirks.ts';
import { openTokens, random, type TokenAnswer } from './tokens.ts';

/** A running provider. The client `given` is registered in advance. */
export interface Emulator {
  readonly issuer: string;
  /** `http://127.0.0.1:PORT`, where the issuer is. */
  readonly origin: string;
  /** The metadata, published or not: what `--metadata` is given for a provider without any. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Paths asked for so far, well-known ones among them. */
  readonly seen: readonly string[];
  /** Forms sent to the token endpoint. */
  readonly tokenForms: readonly URLSearchParams[];
  /** Knows neither clients nor tokens any more, as after a restart with nothing kept. */
  forget(): void;
  close(): Promise<void>;
}

const wellKnown: Record<MetadataForm, (path: string) => string> = {
  'rfc8414 inserted': (path) => `/.well-known/oauth-authorization-server${path}`,
  'rfc8414 appended': (path) => `${path}/.well-known/oauth-authorization-server`,
  'openid appended': (path) => `${path}/.well-known/openid-configuration`,
};

/** An authorization server with the habits of `quirks`, on free loopback ports. Nobody is asked for anything. */
export async function emulate(quirks: Quirks): Promise<Emulator> {
  const tokens = await openTokens(quirks);
  const seen: string[] = [];
  const tokenForms: URLSearchParams[] = [];
  let forgot = false;
  const clients = new Map<string, readonly string[] | undefined>([['given', quirks.redirectUris]]);
  const servers = [createServer(), createServer()] as const;
  const [origin, elsewhere] = (await Promise.all(servers.map(listen))) as [string, string];

  const path = (quirks.path ?? '').replace(/\/$/, '');
  const issuer = `${origin}${quirks.path ?? ''}`;
  const metadata = metadataOf(quirks, { issuer, here: `${origin}${path}`, elsewhere: `${elsewhere}${path}` });
  const documents = (quirks.metadataAt ?? ['openid appended']).map((form) => wellKnown[form](path));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const url = new URL(request.url ?? '', origin);
    seen.push(url.pathname);
    if (documents.includes(url.pathname)) return json(response, 200, metadata);
    if (quirks.isMcpServer && url.pathname === '/mcp') {
      return response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    }
    const body = await textOf(request);
    switch (url.pathname.slice(url.pathname.startsWith(path) ? path.length : 0)) {
      case '/authorize': {
        const { page, location } = authorize(url.searchParams);
        if (location) return response.writeHead(302, { location }).end();
        return response.writeHead(400, { 'content-type': 'text/html' }).end(`<h1>${page}</h1>`);
      }
      case '/token':
        return token(new URLSearchParams(body), request, response);
      case '/register':
        return register(body, response);
      case '/keys':
        return json(response, 200, tokens.jwks);
      case '/userinfo':
        return userinfo(request, response);
      default:
        return response.writeHead(404).end('nothing');
    }
  }

  function register(body: string, response: ServerResponse): void {
    if (quirks.registration) {
      json(response, quirks.registration === 'none' ? 404 : 403, { error: 'access_denied' });
      return;
    }
    const asked = JSON.parse(body) as { redirect_uris: string[] };
    const client_id = random();
    clients.set(client_id, asked.redirect_uris);
    json(response, 201, { ...asked, client_id, token_endpoint_auth_method: 'none' });
  }

  /** Where the browser is sent, or the page that it stays on. */
  function authorize(parameters: URLSearchParams): { page?: string; location?: string } {
    const id = parameters.get('client_id') ?? '';
    const redirectUri = parameters.get('redirect_uri') ?? '';
    const resource = parameters.get('resource');
    const back = (name: string, value: string) => {
      const target = new URL(redirectUri);
      target.searchParams.set(name, value);
      target.searchParams.set('state', parameters.get('state') ?? '');
      return { location: target.href };
    };
    if (!clients.has(id)) return { page: 'unknown client' };
    if (!isRegistered(redirectUri, clients.get(id), quirks.anyPort)) return { page: 'redirect mismatch' };
    if (resource !== null && quirks.resource === 'refused on a page') {
      return { page: "AADSTS901002: The 'resource' request parameter is not supported." };
    }
    if (resource !== null && quirks.resource === 'refused on the redirect') {
      return back('error', 'invalid_target');
    }
    if (parameters.get('code_challenge_method') !== 'S256') return back('error', 'invalid_request');
    const scopes = (parameters.get('scope') ?? '').split(' ').filter(Boolean);
    return back('code', tokens.codeFor({ issuer, parameters, scopes }));
  }

  async function token(form: URLSearchParams, request: IncomingMessage, response: ServerResponse) {
    tokenForms.push(form);
    const [id, secret] = credentialsOf(form, request);
    if (quirks.forgetsOnce && !forgot && form.has('code')) forgot = clients.delete(id);
    const answer = clientProblem(id, secret) ?? (await tokens.answer(form, id));
    const status = 'error' in answer && !quirks.errorsWith200 ? 400 : 200;
    if (!quirks.formAnswers || request.headers.accept?.includes('json')) {
      json(response, status, answer);
      return;
    }
    const pairs = Object.entries(answer).map(([name, value]): [string, string] => [name, String(value)]);
    response.writeHead(status, { 'content-type': 'application/x-www-form-urlencoded' });
    response.end(new URLSearchParams(pairs).toString());
  }

  function clientProblem(id: string, secret: string | undefined): TokenAnswer | undefined {
    if (!clients.has(id)) return { error: 'invalid_client' };
    if (quirks.clientSecret === undefined || secret === quirks.clientSecret) return undefined;
    if (quirks.errorsWith200) return { error: 'incorrect_client_credentials' };
    if (secret !== undefined) return { error: 'invalid_client' };
    return { error: 'invalid_request', error_description: 'client_secret is missing.' };
  }

  function userinfo(request: IncomingMessage, response: ServerResponse): void {
    const grant = tokens.grantOf(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '');
    if (!grant) response.writeHead(401).end();
    else if (!quirks.person && !grant.scopes.includes('openid')) response.writeHead(403).end();
    else
      json(response, 200, quirks.person ?? { sub: grant.subject, name: 'Carol', email: 'carol@example.com' });
  }

  for (const server of servers) {
    server.on('request', (request, response) => {
      handle(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
    });
  }
  return {
    issuer,
    origin,
    metadata,
    seen,
    tokenForms,
    forget() {
      clients.clear();
      tokens.forget();
    },
    close: () => closeAll(servers),
  };
}

interface Places {
  readonly issuer: string;
  readonly here: string;
  readonly elsewhere: string;
}

function metadataOf(quirks: Quirks, { issuer, here, elsewhere }: Places): Record<string, unknown> {
  const base = quirks.endpointsElsewhere ? elsewhere : here;
  const methods =
    quirks.clientSecret === undefined ? ['none', 'client_secret_basic'] : ['client_secret_post'];
  const openid = {
    userinfo_endpoint: `${quirks.userinfoElsewhere ? elsewhere : base}/userinfo`,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
  };
  return {
    issuer,
    authorization_endpoint: `${base}/authorize`,
    token_endpoint: `${base}/token`,
    jwks_uri: `${base}/keys`,
    response_types_supported: ['code'],
    token_endpoint_auth_methods_supported: methods,
    ...(quirks.registration === 'none' ? {} : { registration_endpoint: `${base}/register` }),
    ...(quirks.hidesPkce ? {} : { code_challenge_methods_supported: ['S256'] }),
    ...(quirks.scopesSupported ? { scopes_supported: quirks.scopesSupported } : {}),
    ...(quirks.plainOAuth ? {} : openid),
  };
}

function isRegistered(asked: string, registered: readonly string[] | undefined, anyPort = false): boolean {
  if (!URL.canParse(asked)) return false;
  const portless = Object.assign(new URL(asked), { port: '' }).href;
  return registered?.some((uri) => uri === asked || (anyPort && uri === portless)) ?? true;
}

function credentialsOf(form: URLSearchParams, request: IncomingMessage): [string, string | undefined] {
  const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  const [id, secret] = basic ? Buffer.from(basic, 'base64').toString().split(':') : [];
  return [id ?? form.get('client_id') ?? '', secret ?? form.get('client_secret') ?? undefined];
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closeAll(servers: readonly Server[]): Promise<void> {
  for (const server of servers) {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
}
