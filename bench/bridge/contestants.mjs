import { join } from 'node:path';
import { mcpRemote, ours, packageOf } from '../lib/peers.mjs';
import { openStdio } from '../lib/stdio.mjs';
import { openDirect } from './direct.mjs';

/**
 * Every bridge on both transports, and no bridge at all. `start(url, token, env)` gives a client on it; the
 * transport is the one that the URL's path says.
 */
export const contestants = [
  { name: 'no bridge', start: (url, token) => openDirect(url, token) },
  {
    name: 'mcp-remote',
    start: (url, token, env) => {
      const transport = url.endsWith('/sse') ? 'sse-only' : 'http-only';
      return openStdio(mcpRemote(url, '--transport', transport, '--header', bearer(token)), { env });
    },
  },
  {
    name: 'supergateway',
    start: (url, token, env) => {
      const program = join(packageOf('supergateway'), 'dist/index.js');
      const kind = url.endsWith('/sse') ? '--sse' : '--streamableHttp';
      return openStdio([process.execPath, program, kind, url, '--header', bearer(token)], { env });
    },
  },
  {
    name: 'mcp-proxy',
    start: (url, token, env) => {
      const program = join(import.meta.dirname, 'mcp-proxy.mjs');
      return openStdio([process.execPath, program, packageOf('mcp-proxy'), url, token], { env });
    },
  },
  {
    name: 'ours',
    start: (url, token, env) =>
      openStdio([...ours, 'bridge', url], { env: { ...env, MCP_WHOAMI_TOKEN: token } }),
  },
];

const bearer = (token) => `Authorization:Bearer ${token}`;
