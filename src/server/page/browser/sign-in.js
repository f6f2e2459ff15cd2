// Runs in the page at "/": authorization code with PKCE (RFC 7636) as a public client, one call of the whoami
// tool, and the access token is given back. Nothing is kept but what the way back from the provider needs.

/** @typedef {{ issuer: string, tokenEndpoint: string, revocationEndpoint?: string, clientId: string, verifier: string, requiresIss: boolean }} Pending */
/** @typedef {Record<string, unknown>} Json */

const main = /** @type {HTMLElement} */ (document.querySelector('main'));
const { base = '', path = '', issuer, clientId } = main.dataset;
const redirectUri = `${base}/`;
const pendingPrefix = 'whoami-sign-in-';
const clientKey = `whoami-client-${issuer}`;
const terminal = `In a terminal it works as well: mcp-whoami login ${base}/sse`;

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const button = /** @type {HTMLButtonElement | null} */ (document.getElementById('go'));

for (const copy of document.querySelectorAll('button[data-copy]'))
  offerCopy(/** @type {HTMLButtonElement} */ (copy));
if (button) offerSignIn(button);

/** @param {HTMLButtonElement} go */
function offerSignIn(go) {
  go.hidden = false;
  go.addEventListener('click', () => run(go, issuer === undefined ? () => show(undefined) : leave));
  const answer = new URLSearchParams(location.search);
  if (!answer.has('state')) return;
  // The code leaves the address bar before anything else happens.
  history.replaceState(null, '', location.pathname);
  void run(go, () => comeBack(answer));
}

/** @param {HTMLButtonElement} go @param {() => Promise<void>} step */
async function run(go, step) {
  go.disabled = true;
  byId('problem').textContent = '';
  byId('claims').replaceChildren();
  try {
    await step();
  } catch (error) {
    byId('status').textContent = '';
    byId('problem').textContent = error instanceof Error ? error.message : String(error);
  } finally {
    go.disabled = false;
  }
}

/** To the provider. */
async function leave() {
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
async function comeBack(parameters) {
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

/** One call of the tool. @param {string | undefined} token */
async function show(token) {
  say('Asking who you are …');
  const response = await fetch(`${path}/mcp`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-11-25',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'whoami', arguments: {} },
    }),
  });
  const { result } = await json(response, 'This server');
  const { structuredContent, content } = /** @type {Json} */ (result ?? {});
  const text = Array.isArray(content) ? String(content[0]?.text ?? '{}') : '{}';
  const claims = /** @type {Json} */ (structuredContent ?? JSON.parse(text));
  byId('claims').replaceChildren(...Object.entries(claims).map(row));
  if (typeof claims.error === 'string') say('The server knows nobody:');
  else say(`You are ${claims.name ?? claims.sub}.`);
}

/** @param {[string, unknown]} claim */
function row([name, value]) {
  const line = document.createElement('div');
  const term = document.createElement('dt');
  const detail = document.createElement('dd');
  term.textContent = name;
  detail.textContent = typeof value === 'string' ? value : JSON.stringify(value);
  line.append(term, detail);
  return line;
}

/** @param {HTMLButtonElement} copy */
function offerCopy(copy) {
  if (!navigator.clipboard) return;
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(copy.previousElementSibling?.textContent ?? '');
    copy.textContent = 'Copied';
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, 2000);
  });
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

/** @param {Response} response @param {string} who @returns {Promise<Json>} */
async function json(response, who) {
  /** @type {Json} */
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const { error, error_description: description } = body;
  const told = [error, description]
    .filter((part) => typeof part === 'string')
    .join(': ')
    .slice(0, 300);
  throw new Error(`${who} answered with status ${response.status}${told ? ` (${told})` : ''}.`);
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

/** @param {string} text */
function say(text) {
  byId('status').textContent = text;
}
