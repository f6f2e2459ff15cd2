import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The versions that the figures in docs/performance.md were measured with. */
export const versions = {
  'mcp-remote': '0.15.1',
  supergateway: '4.0.0',
  'mcp-proxy': '6.7.19',
  'mcp-auth': '0.2.0',
};
/** What a peer needs beside itself to be run. */
export const companions = { 'mcp-auth': ['express@5', '@modelcontextprotocol/sdk@1.32.2'] };

export const peersFolder = join(root, 'bench/.peers');
export const ours = [process.execPath, process.env.OURS ?? join(root, 'bin/mcp-whoami.js')];

/** Where a peer's package is. Throws when it has not been installed. */
export function packageOf(name, of = name) {
  const folder = join(peersFolder, of, 'node_modules', name);
  if (!existsSync(folder)) throw new Error(`${name} is not there: node bench/setup.mjs`);
  return folder;
}

/** The command line of mcp-remote. */
export const mcpRemote = (...args) => [
  process.execPath,
  join(packageOf('mcp-remote'), 'dist/proxy.js'),
  ...args,
];
