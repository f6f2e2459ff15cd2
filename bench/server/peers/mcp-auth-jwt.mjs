// MCP Auth in resource server mode, JWT, audience and scope checked: node mcp-auth-jwt.mjs PORT ISSUER
import express from 'express';
import { fetchServerConfig, MCPAuth } from 'mcp-auth';
import { mount } from './whoami.mjs';

const [port, issuer] = process.argv.slice(2);
const resource = `http://127.0.0.1:${port}/`;
const authorizationServers = [await fetchServerConfig(issuer, { type: 'oidc' })];
const metadata = { resource, authorizationServers, scopesSupported: ['openid', 'profile'] };
const auth = new MCPAuth({ protectedResources: { metadata } });

const app = express();
app.use(auth.protectedResourceMetadataRouter());
app.use(auth.bearerAuth('jwt', { resource, audience: resource, requiredScopes: ['openid'] }));
mount(app);
app.listen(Number(port), '127.0.0.1');
