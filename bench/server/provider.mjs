// An identity provider that counts what it is asked: node provider.mjs
// Issuer http://127.0.0.1:PORT/oidc; POST /mint?kind=jwt|opaque&sub=S&aud=A gives a token, GET /counts the counts.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

const { privateKey, publicKey } = await generateKeyPair('ES256');
const key = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'ES256', use: 'sig' };
const subjects = new Map();
const counts = { discovery: 0, keys: 0, userinfo: 0 };

const server = createServer(async (req, res) => {
  const url = new URL(req.url, origin);
  const path = url.pathname;
  if (path === '/counts') return json(res, 200, counts);
  if (path === '/mint') return json(res, 200, { token: await mint(Object.fromEntries(url.searchParams)) });
  if (path.includes('/.well-known/')) {
    if (path.includes('oauth-protected-resource')) return json(res, 404, {});
    counts.discovery++;
    return json(res, 200, metadata);
  }
  if (path === '/oidc/keys') {
    counts.keys++;
    return json(res, 200, { keys: [key] });
  }
  if (path !== '/oidc/me') return json(res, 404, {});
  counts.userinfo++;
  const sub = subjects.get(req.headers.authorization?.slice('Bearer '.length));
  return sub === undefined ? json(res, 401, { error: 'invalid_token' }) : json(res, 200, claimsOf(sub));
});
server.keepAliveTimeout = 60_000;
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const issuer = `${origin}/oidc`;
const metadata = {
  issuer,
  authorization_endpoint: `${issuer}/auth`,
  token_endpoint: `${issuer}/token`,
  userinfo_endpoint: `${issuer}/me`,
  jwks_uri: `${issuer}/keys`,
  response_types_supported: ['code'],
  grant_types_supported: ['authorization_code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['ES256'],
  code_challenge_methods_supported: ['S256'],
  scopes_supported: ['openid', 'profile', 'email'],
};
console.log(`issuer ${issuer}`);
// It does not outlive who started it.
process.stdin.resume().on('end', () => process.exit());

async function mint({ kind, sub, aud }) {
  if (kind === 'opaque') {
    const token = randomBytes(24).toString('base64url');
    subjects.set(token, sub);
    return token;
  }
  return new SignJWT({ scope: 'openid profile email', client_id: 'bench', ...claimsOf(sub) })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'bench' })
    .setIssuer(issuer)
    .setAudience(aud.split(','))
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
}

function claimsOf(sub) {
  return { sub, name: `User ${sub}`, email: `${sub}@example.com` };
}

function json(res, status, body) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
