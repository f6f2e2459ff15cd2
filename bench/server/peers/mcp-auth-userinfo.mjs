// MCP Auth as its whoami tutorial uses it, userinfo asked for every request: node mcp-auth-userinfo.mjs PORT ISSUER
import express from 'express';
import { fetchServerConfig, MCPAuth, MCPAuthTokenVerificationError } from 'mcp-auth';
import { mount } from './whoami.mjs';

const [port, issuer] = process.argv.slice(2);
const server = await fetchServerConfig(issuer, { type: 'oidc' });
const auth = new MCPAuth({ server });

async function verify(token) {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(server.metadata.userinfoEndpoint, { headers });
  if (!answer.ok) throw new MCPAuthTokenVerificationError('token_verification_failed', answer);
  const claims = await answer.json();
  return { token, issuer, subject: claims.sub, clientId: '', scopes: [], claims };
}

const app = express();
app.use(auth.delegatedRouter());
app.use(auth.bearerAuth(verify));
mount(app);
app.listen(Number(port), '127.0.0.1');
