import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const scopes = ['read', 'write', 'offline_access'];

/**
 * An authorization server on loopback that grants whatever it is asked for, without a page: dynamic registration,
 * PKCE with S256, rotating refresh tokens without a grace period, and the whole family of tokens revoked when a
 * refresh token comes a second time (RFC 9700 4.14.2).
 *
 * In: `lifetimeS` of access tokens; `refreshes`, whether there are refresh tokens; `rotates`, whether a refresh
 * gives a new one; `tokenMs`, how long the token endpoint takes. Out: `scopeOf(token)` (undefined: not valid), what it `saw`, and what can go wrong
 * at a real one: `revokeAccessTokens`, `forgetClients`.
 */
export async function openIssuer({ lifetimeS = 3_600, refreshes = true, rotates = true, tokenMs = 0 } = {}) {
  const clients = new Map();
  const codes = new Map();
  const access = new Map();
  const refresh = new Map();
  const saw = { registrations: 0, codes: 0, refreshes: 0, reuses: 0, refusals: 0 };
  const newToken = () => randomBytes(24).toString('base64url');

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, origin);
    if (url.pathname === '/.well-known/oauth-authorization-server') return json(res, 200, metadata());
    if (url.pathname === '/authorize') return authorize(url.searchParams, res);
    if (req.method !== 'POST') return json(res, 404, {});
    let body = '';
    for await (const chunk of req.setEncoding('utf8')) body += chunk;
    if (url.pathname === '/register') return register(JSON.parse(body), res);
    if (url.pathname !== '/token') return json(res, 404, {});
    await delay(tokenMs);
    token(new URLSearchParams(body), res);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;

  const metadata = () => ({
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    scopes_supported: scopes,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
  });

  function register(asked, res) {
    saw.registrations++;
    const client = { ...asked, client_id: newToken(), token_endpoint_auth_method: 'none' };
    clients.set(client.client_id, client);
    json(res, 201, client);
  }

  function authorize(query, res) {
    const client = clients.get(query.get('client_id'));
    if (!client) return refuse(res, 'invalid_client');
    const redirect = new URL(query.get('redirect_uri'));
    const code = newToken();
    const scope = query.get('scope') ?? 'read';
    codes.set(code, { clientId: client.client_id, challenge: query.get('code_challenge'), scope });
    redirect.searchParams.set('code', code);
    if (query.has('state')) redirect.searchParams.set('state', query.get('state'));
    res.writeHead(302, { location: redirect.href }).end();
  }

  function token(form, res) {
    if (!clients.has(form.get('client_id'))) return refuse(res, 'invalid_client', 401);
    return form.get('grant_type') === 'refresh_token' ? renew(form, res) : redeem(form, res);
  }

  function redeem(form, res) {
    const found = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    const verifier = createHash('sha256').update(form.get('code_verifier') ?? '');
    if (!found || verifier.digest('base64url') !== found.challenge) return refuse(res, 'invalid_grant');
    saw.codes++;
    grant({ scope: found.scope, live: true }, newToken(), res);
  }

  function renew(form, res) {
    const given = form.get('refresh_token');
    const found = refresh.get(given);
    if (!found?.family.live) return refuse(res, 'invalid_grant');
    if (found.used) {
      saw.reuses++;
      found.family.live = false;
      return refuse(res, 'invalid_grant');
    }
    saw.refreshes++;
    found.used = rotates;
    grant(found.family, rotates ? newToken() : given, res);
  }

  function grant(family, refreshToken, res) {
    const accessToken = newToken();
    access.set(accessToken, { family, until: Date.now() + lifetimeS * 1_000 });
    refresh.set(refreshToken, { family, used: false });
    json(res, 200, {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: lifetimeS,
      ...(refreshes ? { refresh_token: refreshToken } : {}),
      scope: family.scope,
    });
  }

  function refuse(res, error, status = 400) {
    saw.refusals++;
    json(res, status, { error });
  }

  return {
    origin,
    saw,
    scopeOf(given) {
      const found = access.get(given);
      return found?.family.live && found.until > Date.now() ? found.family.scope : undefined;
    },
    /** Every token that was handed out, to look for in files. */
    tokens: () => [...access.keys(), ...refresh.keys()],
    revokeAccessTokens: () => access.clear(),
    forgetClients() {
      clients.clear();
      access.clear();
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

function json(res, status, body) {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  res.writeHead(status, headers).end(JSON.stringify(body));
}
