import { createHash, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { generateKeyPair, SignJWT } from 'jose';
import type { Behaviour, Reply, Seen } from './behaviour.ts';
import { createDeviceCodes } from './device-codes.ts';
import { bodyOf, json, type Listening, listen } from './http.ts';
import { metadataOf } from './issuer-metadata.ts';
import { createPushedRequests, type PushedRequests } from './pushed.ts';

export type { Seen } from './behaviour.ts';

export interface Issuer extends Listening {
  readonly issuer: string;
  readonly behaviour: Behaviour;
  readonly seen: Seen[];
  /** Requests at one endpoint: `token`, `register`, `authorize` ... */
  at(endpoint: string): Seen[];
  /** Refresh token requests that were granted. */
  refreshes(): number;
  /** The refresh token family was revoked because one was used twice. */
  reused(): boolean;
  forgetClients(): void;
  readonly pushed: PushedRequests;
  /** Knows a public client by this id from now on. */
  know(clientId: string): void;
  revokeAll(): void;
}

const algorithm = 'ES256';

/**
 * A small authorization server: PKCE, rotation with reuse detection, dynamic registration, revocation. In: `where`
 * it listens, and under which origin others reach it; default: 127.0.0.1 and its own.
 */
export async function startIssuer(
  behaviour: Behaviour = {},
  path = '/oidc',
  where: { readonly host?: string; readonly publicOrigin?: (own: string) => string } = {},
): Promise<Issuer> {
  const { privateKey } = await generateKeyPair(algorithm);
  const seen: Seen[] = [];
  const clients = new Map<string, string | undefined>([['given', undefined]]);
  const codes = new Map<string, URLSearchParams>();
  const live = new Map<string, URLSearchParams>();
  const used = new Set<string>();
  const pushed = createPushedRequests();
  const devices = createDeviceCodes();
  let refreshes = 0;
  let reused = false;
  let issuer = '';

  const time = () => Date.now() + (behaviour.clock ?? 0);
  const honestMetadata = () => metadataOf(issuer, algorithm, behaviour);

  async function answer(asked: URLSearchParams, extra: Record<string, unknown> = {}) {
    const refresh = randomBytes(12).toString('hex');
    live.set(refresh, asked);
    const token = {
      access_token: `at-${randomBytes(12).toString('hex')}`,
      token_type: 'Bearer',
      expires_in: behaviour.lifetime ?? 3600,
      refresh_token: refresh,
      scope: asked.get('scope') ?? '',
      ...extra,
    };
    return behaviour.grant ? behaviour.grant(token) : token;
  }

  async function idToken(asked: URLSearchParams) {
    if (!asked.get('scope')?.split(' ').includes('openid')) return {};
    const id_token = await new SignJWT({ name: 'Alice Example', nonce: asked.get('nonce') ?? undefined })
      .setProtectedHeader({ alg: algorithm })
      .setIssuer(issuer)
      .setSubject('alice')
      .setAudience(asked.get('client_id') ?? '')
      .setIssuedAt(new Date(time()))
      .setExpirationTime(new Date(time() + 300_000))
      .sign(privateKey);
    return { id_token };
  }

  function clientOf(request: Seen): string | undefined {
    const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const [id = '', secret] = basic
      ? Buffer.from(basic, 'base64').toString().split(':')
      : [request.form.get('client_id') ?? '', request.form.get('client_secret') ?? undefined];
    if (!clients.has(id)) return undefined;
    const expected = clients.get(id);
    return expected === undefined || expected === secret ? id : undefined;
  }

  async function token(request: Seen, response: ServerResponse): Promise<void> {
    const { form } = request;
    const instead = behaviour.token?.(form, request);
    if (instead) return instead(response);
    const client = clientOf(request);
    if (client === undefined) return json(response, 401, { error: 'invalid_client' });
    const no = (error: string) => json(response, 400, { error });
    if (form.get('grant_type') === 'authorization_code') {
      const asked = codes.get(form.get('code') ?? '');
      codes.delete(form.get('code') ?? '');
      const hash = createHash('sha256').update(form.get('code_verifier') ?? '');
      if (!asked || hash.digest('base64url') !== asked.get('code_challenge')) return no('invalid_grant');
      if (form.get('redirect_uri') !== asked.get('redirect_uri')) return no('invalid_grant');
      if (form.get('resource') !== asked.get('resource')) return no('invalid_target');
      return json(response, 200, await answer(asked, await idToken(asked)));
    }
    const device = devices.asked(form);
    if (device) return json(response, 200, await answer(device, await idToken(device)));
    const refresh = form.get('refresh_token') ?? '';
    if (used.has(refresh)) {
      reused = true;
      live.clear();
    }
    const asked = live.get(refresh);
    if (!asked) return no('invalid_grant');
    live.delete(refresh);
    used.add(refresh);
    refreshes++;
    return json(response, 200, await answer(asked));
  }

  function authorize({ query: given }: Seen, response: ServerResponse): void {
    const query = given.has('request_uri') || behaviour.pushedOnly ? pushed.take(given) : given;
    if (!query || !clients.has(query.get('client_id') ?? '')) {
      response.writeHead(400).end(query ? 'client is invalid' : 'request_uri is invalid');
      return;
    }
    const code = randomBytes(12).toString('hex');
    codes.set(code, query);
    const honest = { code, state: query.get('state') ?? '', iss: issuer };
    const back = behaviour.authorize ? behaviour.authorize(honest, query) : honest;
    if (!back) return void response.writeHead(200).end('a page that leads nowhere');
    const target = new URL(query.get('redirect_uri') ?? '');
    for (const [name, value] of Object.entries(back)) target.searchParams.append(name, value);
    response.writeHead(303, { location: target.href }).end();
  }

  function push(request: Seen, response: ServerResponse): void {
    const instead = behaviour.push?.(request.form);
    if (instead) instead(response);
    else if (clientOf(request) === undefined) json(response, 401, { error: 'invalid_client' });
    else json(response, 201, pushed.push(request.form));
  }

  function device({ form }: Seen, response: ServerResponse): void {
    const honest = devices.begin(form, issuer);
    const told = behaviour.device?.(honest, form) ?? honest;
    if (typeof told === 'function') told(response);
    else json(response, 200, told);
  }

  function register({ body }: Seen, response: ServerResponse): void {
    const asked = JSON.parse(body) as Record<string, unknown>;
    const instead = behaviour.register?.(asked);
    if (instead) {
      instead(response);
      return;
    }
    const client_id = `client-${clients.size}`;
    clients.set(client_id, undefined);
    json(response, 201, { ...asked, client_id, ...behaviour.registered });
  }

  const server = await listen(async (request, response) => {
    const url = new URL(request.url ?? '', issuer);
    const body = await bodyOf(request);
    const it: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      form: new URLSearchParams(body),
      body,
      headers: request.headers,
    };
    seen.push(it);
    if (behaviour.clock !== undefined) response.setHeader('date', new Date(time()).toUTCString());
    const forms = behaviour.metadataAt ?? [`${path}/.well-known/openid-configuration`];
    if (forms.includes(url.pathname)) {
      const document = honestMetadata();
      return json(response, 200, behaviour.metadata ? behaviour.metadata(document) : document);
    }
    switch (url.pathname.slice(path.length)) {
      case '/authorize':
        return authorize(it, response);
      case '/token':
        return token(it, response);
      case '/par':
        return push(it, response);
      case '/register':
        return register(it, response);
      case '/device_authorization':
        return device(it, response);
      case '/revoke': {
        const instead = behaviour.revoke?.(it.form);
        if (instead) return instead(response);
        live.delete(it.form.get('token') ?? '');
        return response.writeHead(200).end();
      }
      case '/userinfo':
        return behaviour.userinfo
          ? behaviour.userinfo()(response)
          : json(response, 200, { sub: 'alice', name: 'Alice of Userinfo' });
      default:
        return response.writeHead(404).end('nothing');
    }
  }, where.host);
  issuer = `${where.publicOrigin?.(server.origin) ?? server.origin}${path}`;
  return {
    ...server,
    issuer,
    behaviour,
    seen,
    at: (endpoint) => seen.filter((it) => it.path === `${path}/${endpoint}`),
    refreshes: () => refreshes,
    reused: () => reused,
    pushed,
    forgetClients: () => clients.clear(),
    know: (clientId) => void clients.set(clientId, undefined),
    revokeAll: () => live.clear(),
  };
}

/** A reply with this status and text, for `Behaviour`. */
export const reply =
  (status: number, body = '', headers: Record<string, string> = {}): Reply =>
  (response) =>
    void response.writeHead(status, headers).end(body);

export const replyJson =
  (status: number, body: unknown): Reply =>
  (response) =>
    json(response, status, body);
