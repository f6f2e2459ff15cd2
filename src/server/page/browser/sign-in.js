// Authorization code with PKCE (RFC 7636) as a public client: to the provider and back. Nothing is kept but what the
// way back needs, and the access token is forgotten after one call.

import { base, clientId, issuer, json, path, say, show } from './whoami.js';

/** @typedef {{ issuer: string, tokenEndpoint: string, revocationEndpoint?: string, clientId: string, verifier: string, requiresIss: boolean }} Pending */

const redirectUri = `${base}/`;
const pendingPrefix = 'whoami-sign-in-';
const clientKey = `whoami-client-${issuer}`;
const terminal = `In a terminal it works as well: mcp-whoami login ${base}/sse`;

/** To the provider. */
export async function leave() {
  say('Looking for the sign-in page …');
  if (!crypto.subtle)
    throw new Error(`This page is not reached over https, so that no sign-in can start here. ${terminal}`);
  const metadata = await json(await fetch(`/.well-known/oauth-authorization-server${path}`), 'This server');
  const {
    issuer: named,
    authorization_endpoint: authorizationEndpoint,
    token_endpoint: tokenEndpoint,
  } = metadata;
  if (named !== issuer) throw new Error('The authorization server is not the one that this server trusts.');
  const { registration_endpoint: registrationEndpoint, revocation_endpoint: revocationEndpoint } = metadata;
  const resource = await json(await fetch(`/.well-known/oauth-protected-resource${path}/mcp`), 'This server');
  const scopes = Array.isArray(resource.scopes_supported) ? resource.scopes_supported.map(String) : [];
  const client = clientId ?? sessionStorage.getItem(clientKey) ?? (await register(registrationEndpoint));

  const state = random();
  const verifier = random();
  const target = new URL(secure(authorizationEndpoint));
  const parameters = {
    response_type: 'code',
    client_id: client,
    redirect_uri: redirectUri,
    state,
    code_challenge: base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))),
    code_challenge_method: 'S256',
    resource: String(resource.resource),
    ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
    ...(scopes.includes('openid') ? { nonce: random() } : {}),
  };
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  /** @type {Pending} */
  const pending = {
    issuer: String(named),
    tokenEndpoint: secure(tokenEndpoint),
    ...(revocationEndpoint ? { revocationEndpoint: secure(revocationEndpoint) } : {}),
    clientId: client,
    verifier,
    requiresIss: metadata.authorization_response_iss_parameter_supported === true,
  };
  sessionStorage.setItem(pendingPrefix + state, JSON.stringify(pending));
  location.assign(target);
}

/** Dynamic registration (RFC 7591), once a tab. @param {unknown} endpoint */
async function register(endpoint) {
  if (typeof endpoint !== 'string') {
    throw new Error(
      `${host(issuer)} lets no page register itself. Who runs this server can name a client with --page-client-id. ${terminal}`,
    );
  }
  const response = await send(endpoint, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'whoami page',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      // OpenID Connect registration allows plain http redirects on loopback to native clients only.
      application_type: base.startsWith('https:') ? 'web' : 'native',
    }),
  });
  const { client_id: given } = await json(response, host(issuer));
  if (typeof given !== 'string') throw new Error(`${host(issuer)} gave this page no client id. ${terminal}`);
  sessionStorage.setItem(clientKey, given);
  return given;
}

/** From the provider: what came is held against what was sent. @param {URLSearchParams} parameters */
export async function comeBack(parameters) {
  const key = pendingPrefix + parameters.get('state');
  const kept = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
  if (!kept) throw new Error('This is not the end of a sign-in that began in this tab. Please start again.');
  /** @type {Pending} */
  const pending = JSON.parse(kept);
  const iss = parameters.get('iss');
  if (iss === null ? pending.requiresIss : iss !== pending.issuer) {
    throw new Error(`The answer does not come from ${pending.issuer}, and is refused.`);
  }
  const error = parameters.get('error');
  if (error) throw refusal(error);
  say('Fetching your access token …');
  const form = {
    grant_type: 'authorization_code',
    code: parameters.get('code') ?? '',
    redirect_uri: redirectUri,
    client_id: pending.clientId,
    code_verifier: pending.verifier,
    resource: `${base}/mcp`,
  };
  const response = await send(pending.tokenEndpoint, { body: new URLSearchParams(form) });
  const granted = await json(response, host(pending.issuer));
  const token = String(granted.access_token ?? '');
  try {
    await show(token);
  } finally {
    // A JWT ends by itself, soon; few servers can take one back (RFC 7009 2.2.1).
    if (pending.revocationEndpoint && token.split('.').length !== 3) await giveBack(pending, token);
  }
}

/** A page that lost its token on the way to the revocation has lost it all the same. @param {Pending} pending @param {string} token */
async function giveBack({ revocationEndpoint = '', clientId: client }, token) {
  const form = { token, token_type_hint: 'access_token', client_id: client };
  await fetch(revocationEndpoint, { method: 'POST', body: new URLSearchParams(form) }).catch(() => {});
}

/** @param {string} error */
function refusal(error) {
  if (error === 'access_denied') return new Error('You did not sign in. Nothing has happened.');
  if (error === 'invalid_target') {
    return new Error(
      `${host(issuer)} does not know the resource ${base}/mcp. Who runs this server has to register it there.`,
    );
  }
  return new Error(`${host(issuer)} refused the sign-in (${error.slice(0, 80)}). ${terminal}`);
}

/** @param {string} url @param {RequestInit} request */
async function send(url, request) {
  try {
    return await fetch(secure(url), { method: 'POST', redirect: 'error', ...request });
  } catch {
    throw new Error(`${host(url)} lets no page of this site talk to it. ${terminal}`);
  }
}

/** https, or loopback. @param {unknown} text */
function secure(text) {
  const url = new URL(String(text));
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return url.href;
  throw new Error('The authorization server names an address that is not secure.');
}

/** @param {string | undefined} url */
function host(url) {
  return url ? new URL(url).host : 'The authorization server';
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {ArrayBuffer | Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
